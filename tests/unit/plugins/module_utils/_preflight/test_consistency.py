import copy

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._preflight.consistency import check

POD = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}}
WEB = {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": POD}}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
HPA = {
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 6, "metrics": [CPU]},
}
PDB = {"kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}
SERVICE = {"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}}}
CONF = {"kind": "ConfigMap", "metadata": {"name": "redis"}, "data": {"redis.conf": "appendonly yes\nmaxmemory-policy noeviction\n"}}
REDIS_POD = {"containers": [{"name": "redis"}], "volumes": [{"name": "conf", "configMap": {"name": "redis"}}]}
REDIS = {"kind": "StatefulSet", "metadata": {"name": "redis"}, "spec": {"template": {"spec": REDIS_POD}}}
GOOD = [WEB, HPA, PDB, SERVICE, CONF, REDIS]


def changed(*changes):
    """GOOD with values changed: (position, dotted path, value)."""
    objects = copy.deepcopy(GOOD)
    for position, path, value in changes:
        place = objects[position]
        *parents, last = path.split(".")
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        place[last] = value
    return objects


def test_objects_that_agree_are_one_pass():
    objects, broker = check(GOOD, "redis")
    assert (objects.verdict, broker.verdict, broker.message) == ("pass", "pass", "Celery's broker redis evicts no keys.")
    assert objects.message.startswith("1 HorizontalPodAutoscaler, 1 PodDisruptionBudget, 1 Service agree")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([(1, "spec.minReplicas", 7)], "HorizontalPodAutoscaler web: minReplicas 7 is more than maxReplicas 6."),
        (
            [(1, "spec.scaleTargetRef.name", "gone"), (2, "spec.minAvailable", 0)],
            "scales Deployment gone, which is not part of the release.",
        ),
        ([(0, "spec.replicas", 3)], "scales Deployment web, whose manifest sets spec.replicas"),
        ([(0, "spec.template.spec.containers.0.resources", {})], "container c of Deployment web requests no cpu."),
        ([(2, "spec.minAvailable", 2)], "PodDisruptionBudget web: allows no pod of 2 to go (minAvailable 2, maxUnavailable None)"),
        ([(2, "spec", {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "web"}}})], "allows no pod of 2 to go"),
        ([(2, "spec.selector.matchLabels", {"app": "x"}), (2, "spec.minAvailable", 0)], "matches no workload of the release"),
        ([(3, "spec.selector", {"app": "x"})], "Service web: its selector {'app': 'x'} matches no workload of the release."),
        ([(4, "data", {"redis.conf": "maxmemory-policy allkeys-lru"})], "(ConfigMap redis, redis.conf: maxmemory-policy allkeys-lru)"),
        (
            [(5, "spec.template.spec.containers.0.args", ["--maxmemory-policy", "volatile-ttl"])],
            "(arguments: maxmemory-policy volatile-ttl)",
        ),
    ],
)
def test_what_does_not_agree_is_named(changes, says):
    (finding,) = [one for one in check(changed(*changes), "redis") if one.verdict != "pass"]
    assert finding.verdict == ("warn" if "allows no pod" in says else "fail")
    assert says in finding.message and finding.next_step


def test_a_broker_elsewhere_is_skipped_and_an_evicting_cache_is_fine():
    verdicts = [one.verdict for one in check(changed((4, "data", {"redis.conf": "maxmemory-policy allkeys-lru"})), "another")]
    assert verdicts == ["pass", "skipped"]


def test_a_commented_policy_counts_not():
    assert check(changed((4, "data", {"redis.conf": "# maxmemory-policy allkeys-lru"})), "redis")[1].verdict == "pass"


@pytest.mark.parametrize(("file", "verdict"), [("redis.conf", "pass"), ("cache.conf", "fail")])
def test_of_two_files_in_one_config_the_one_that_is_started_counts(file, verdict):
    config = {"redis.conf": "maxmemory-policy noeviction", "cache.conf": "maxmemory-policy allkeys-lfu"}
    command = ["redis-server", f"/etc/redis/{file}"]
    assert check(changed((4, "data", config), (5, "spec.template.spec.containers.0.command", command)), "redis")[1].verdict == verdict
