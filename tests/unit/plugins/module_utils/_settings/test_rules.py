from typing import Any

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._settings import rules

KNOWN = {*rules.RULES, *rules.SHAPES, "release_secret_values", "backup_keep_count"}
DIGEST = f"registry.example/x@sha256:{'a' * 64}"
GOOD: dict[str, Any] = {
    "release_url": "https://support.example.com",
    "release_replicas": {"backend_min": 2, "backend_max": 10, "answer": 2, "worker": 2},
    "release_storage": {"class": "", "redis": "5Gi", "postgres": "10Gi", "prometheus": "20Gi", "backups": "20Gi"},
    "release_node_ports": {},
    "release_pod_spec": {"imagePullSecrets": [{"name": "r"}], "nodeSelector": {"a/b": "c"}, "tolerations": [{"operator": "Exists"}]},
    "release_ingress": {"host": "support.example.com", "class": "nginx", "tls_secret": "support-tls"},
    "release_images": {"service": DIGEST},
    "rollout_metrics_retention": {"time": "30d", "size": "15GB"},
    "rollout_schedules": {"backup": "0 2 * * *", "cleanup": "0 3 * * *", "optimise": "20 3 * * *", "restore_drill": "0 4 * * 0"},
    "ansible_connection": "local",
    "our_team": "support",
}


def wrong(settings):
    return rules.problems(settings, settings, KNOWN)


def test_what_is_right_is_not_complained_about():
    assert wrong(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"release_replica": 3}, "release_replica is no setting; did you mean release_replicas?"),
        ({"relase_url": "x"}, "relase_url is no setting; did you mean release_url?"),
        ({"backup_keep_cuont": 3}, "backup_keep_cuont is no setting; did you mean backup_keep_count?"),
        ({"release_colour": "blue"}, "release_colour is no setting; see roles/release/defaults/main.yml"),
        ({"release_url": "support.example.com"}, "write the whole address, as https://support.example.com"),
        ({"release_to": "v7"}, "release_to is 'v7': write the number of a recorded release, or 0"),
        ({"release_to": "-1"}, "write the number of a recorded release, or 0"),
        ({"release_grafana": "true"}, "release_grafana is true, and release_images names no grafana"),
        ({"release_grafana": "maybe"}, "release_grafana is 'maybe': write true or false"),
        ({"release_llm_provider": "gemmini"}, "write one of extractive, gemini; did you mean gemini?"),
        (
            {"release_fail_on": ["fail", "skiped"]},
            "entry 1 is 'skiped': write one of pass, warn, fail, skipped, error; did you mean skipped?",
        ),
        (
            {"release_storage": {**GOOD["release_storage"], "redis": "5GB"}},
            "release_storage.redis is '5GB': write a size with its unit, as 5Gi",
        ),
        ({"release_storage": {**GOOD["release_storage"], "redis": 5}}, "release_storage.redis is 5: write a size with its unit, as 10Gi"),
        (
            {"release_storage": {**GOOD["release_storage"], "postgress": "5Gi"}},
            "release_storage.postgress is no field; did you mean postgres?",
        ),
        ({"release_replicas": {"backend_min": 1}}, "release_replicas lacks backend_max, answer, worker"),
        ({"release_replicas": {**GOOD["release_replicas"], "backend_min": 12}}, "backend_min is 12, above backend_max, 10"),
        ({"release_replicas": 3}, "release_replicas is 3: write {backend_min, backend_max, answer, worker}"),
        ({"release_node_ports": {"backend": 80, "page": 30517, "prometheus": 30909}}, "backend is 80: write a number from 30000 to 32767"),
        ({"release_node_ports": {"backend": 30800, "page": 30800, "prometheus": 30909}}, "names one port twice"),
        ({"release_pod_spec": {"imagePullSecrets": ["registry"]}}, "entry 0 is 'registry': write it as {name: registry}"),
        ({"release_pod_spec": {"nodeSelector": {"disk": 1}}}, "release_pod_spec.nodeSelector is {'disk': 1}: write it as {disk: ssd}"),
        ({"release_pod_spec": {"tolerations": [{"keys": "x"}]}}, "write it as {key: dedicated, operator: Exists}"),
        ({"release_pod_spec": {"nodeSelectors": {}}}, "release_pod_spec.nodeSelectors is no field; did you mean nodeSelector?"),
        ({"release_images": {"servce": DIGEST}}, "release_images.servce is no field; did you mean service?"),
        ({"release_url": "http://support.example.com"}, "tls_secret is set, and release_url is http://"),
        ({"release_grafana": True}, "release_images names no grafana"),
        ({"release_llm_provider": "gemini", "release_secret_values": {"redis-url": "x"}}, "release_secret_values has no gemini-key"),
        ({"rollout_metrics_retention": {"time": "30", "size": "15GB"}}, "rollout_metrics_retention.time is '30': write it as 30d"),
        ({"rollout_metrics_retention": {"time": "30d", "size": "19GB"}}, "Prometheus needs a tenth of it for itself"),
        ({"rollout_schedules": {**GOOD["rollout_schedules"], "backup": "daily"}}, "rollout_schedules.backup is 'daily': write five fields"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_right(changes, said):
    found = wrong({**GOOD, **changes})
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize("value", [0, 7, "7", ""])
def test_the_number_of_a_release_may_come_as_text_or_be_left_empty(value):
    assert wrong({**GOOD, "release_to": value}) == []


def test_the_fingerprint_is_of_the_values_in_whatever_order():
    assert rules.fingerprint(GOOD) == rules.fingerprint(dict(reversed(GOOD.items())))
    assert rules.fingerprint(GOOD) != rules.fingerprint({**GOOD, "release_url": "https://x"})


def test_what_is_hashed_of_an_inventory():
    """Nothing secret, nothing of this machine or this run; all else, with a rule or without."""
    known = {*KNOWN, *rules.FACTS, "release_waivers", "preflight_window", "notify_slack_url", "verify_ca_file", "release_evidence_dir"}
    hashed = rules.hashed(known)
    assert {"release_url", "release_storage", "backup_keep_count", "release_waivers", "preflight_window"} <= hashed
    assert not hashed & {
        *rules.FACTS,
        "release_secret_values",
        "release_to",
        "notify_slack_url",
        "verify_ca_file",
        "release_evidence_dir",
    }


def test_everything_is_named_at_once():
    found = wrong({**GOOD, "release_url": "x", "release_grafana": "x", "release_storage": {}})
    assert len(found) == 3
