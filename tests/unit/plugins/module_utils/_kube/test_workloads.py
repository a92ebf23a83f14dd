from datetime import UTC, datetime

from ansible_collections.hsc.jit.plugins.module_utils._kube.workloads import (
    claims_mounted,
    labels_match,
    requests,
    size,
    workloads,
)


def test_sizes_are_for_people():
    assert [size(9.04e9), size(2e12), size(12)] == ["9.0 GB", "2.0 TB", "12 B"]


def test_a_pod_needs_its_containers_together_or_its_largest_init_container():
    def container(cpu):
        return {"resources": {"requests": {"cpu": cpu}}}

    assert requests({"containers": [container("1"), container("500m")]})["cpu"] == 1.5
    assert requests({"containers": [container("1")], "initContainers": [container("2"), container("3")]})["cpu"] == 3


def test_every_kind_that_makes_pods_is_found_with_the_path_of_its_pod():
    pod = {"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]}
    objects = [
        {"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": pod}}},
        {"kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": pod}}}}},
        {"kind": "Pod", "metadata": {"name": "p"}, "spec": pod},
        {"kind": "Service", "metadata": {"name": "s"}, "spec": {}},
    ]
    found = workloads(objects)
    assert [(one.title, one.path) for one in found] == [
        ("Deployment d", "spec.template.spec"),
        ("CronJob c", "spec.jobTemplate.spec.template.spec"),
        ("Pod p", "spec"),
    ]
    assert [path for path, _ in found[2].containers()] == ["spec.initContainers[0]", "spec.containers[0]"]


def test_an_empty_selector_matches_nothing():
    assert not labels_match({}, {"a": "b"}) and not labels_match(None, None) and labels_match({"a": "b"}, {"a": "b", "c": "d"})


def test_claims_whose_volumes_a_kubelet_must_have_measured_by_now():
    def pod(name, started, phase="Running"):
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": f"of-{name}"}}, {"name": "tmp", "emptyDir": {}}]
        return {"metadata": {"name": name}, "spec": {"volumes": volumes}, "status": {"phase": phase, "startTime": started}}

    pods = [pod("old", "2026-11-27T03:00:00Z"), pod("new", "2026-11-27T03:09:00Z"), pod("waits", "2026-11-27T03:00:00Z", "Pending")]
    assert claims_mounted(pods, datetime(2026, 11, 27, 3, 10, tzinfo=UTC)) == {"of-old": "old"}
