import copy

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._preflight import nodes

SERVER = {"gitVersion": "v1.36.3"}
NODE = {
    "metadata": {"name": "n0"},
    "spec": {},
    "status": {
        "nodeInfo": {"kubeletVersion": "v1.36.3"},
        "conditions": [
            {"type": "MemoryPressure", "status": "False"},
            {"type": "DiskPressure", "status": "False"},
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": "2026-11-24T03:00:00Z"},
        ],
    },
}
GB = 10**9
FS = {"availableBytes": 60 * GB, "capacityBytes": 80 * GB, "inodesFree": 900, "inodes": 1000}


def node(**changes):
    new = copy.deepcopy(NODE)
    for path, value in changes.items():
        place = new
        *parents, last = path.split("__")
        for name in parents:
            place = place[name]
        place[last] = value
    return new


def with_condition(kind, status, **more):
    conditions = [one for one in NODE["status"]["conditions"] if one["type"] != kind]
    return node(status__conditions=[*conditions, {"type": kind, "status": status, **more}])


def summary(fs=FS, image=None, pods=()):
    return {"node": {"fs": fs, "runtime": {"imageFs": image or fs}}, "pods": list(pods)}


def test_healthy_nodes_are_one_pass_with_their_versions():
    (finding,) = nodes.check_nodes([NODE, node(metadata__name="n1")], SERVER)
    assert (finding.id, finding.verdict) == ("PF-01", "pass") and finding.message.startswith("2 of 2 nodes are Ready")
    assert finding.evidence["nodes"] == {"n0": "v1.36.3", "n1": "v1.36.3"}


def test_no_node_fails():
    assert nodes.check_nodes([], SERVER)[0].verdict == "fail"


@pytest.mark.parametrize(
    ("bad", "verdict", "says"),
    [
        (
            with_condition("Ready", "Unknown", reason="NodeStatusUnknown", message="Kubelet stopped posting", lastTransitionTime="T"),
            "fail",
            "Node n0: not Ready since T (NodeStatusUnknown: Kubelet stopped posting).",
        ),
        (node(status__conditions=[], status__nodeInfo={"kubeletVersion": ""}), "fail", "not Ready since ? (NoCondition)"),
        (with_condition("DiskPressure", "True", message="kubelet has disk pressure"), "fail", "DiskPressure (kubelet has disk pressure)"),
        (node(spec__unschedulable=True), "warn", "cordoned"),
        (node(status__nodeInfo={"kubeletVersion": "v1.32.9"}), "fail", "kubelet v1.32.9 does not go with API server v1.36.3"),
        (node(status__nodeInfo={"kubeletVersion": "v1.37.0"}), "fail", "kubelet v1.37.0"),
    ],
)
def test_a_bad_node_is_named_with_the_reason_and_a_command(bad, verdict, says):
    (finding,) = nodes.check_nodes([bad, node(metadata__name="n1")], SERVER)
    assert finding.verdict == verdict and says in finding.message and finding.next_step


def test_three_minor_versions_behind_is_supported():
    assert nodes.check_nodes([node(status__nodeInfo={"kubeletVersion": "v1.33.0"})], SERVER)[0].verdict == "pass"


@pytest.mark.parametrize(
    ("needed_by", "status", "items", "verdicts"),
    [
        ([], 404, 0, []),
        (["HPA a"], 404, 0, ["fail"]),
        (["HPA a"], 503, 0, ["warn"]),
        (["HPA a"], 200, 0, ["warn"]),
        (["HPA a"], 200, 2, ["pass"]),
    ],
)
def test_metrics_matter_only_to_an_hpa(needed_by, status, items, verdicts):
    assert [one.verdict for one in nodes.check_metrics(needed_by, status, items)] == verdicts


def test_nine_gigabytes_are_not_enough_and_the_message_says_it_all():
    (finding,) = nodes.check_disk({"n0": summary({**FS, "availableBytes": 9 * GB})}, 10 * GB, 5)
    assert finding.message == "Node n0: 9.0 GB of 80.0 GB free on nodefs; 10.0 GB are needed."
    assert (finding.id, finding.verdict, finding.evidence["needed_bytes"]) == ("PF-02", "fail", 10 * GB)


def test_exactly_the_threshold_is_enough():
    assert nodes.check_disk({"n0": summary({**FS, "availableBytes": 10 * GB})}, 10 * GB, 5)[0].verdict == "pass"


def test_the_images_filesystem_counts_where_it_is_another_one():
    image = {**FS, "capacityBytes": 20 * GB, "availableBytes": 1 * GB}
    (finding,) = nodes.check_disk({"n0": summary(image=image)}, 10 * GB, 5)
    assert "free on imagefs" in finding.message


def test_inodes_run_out_too():
    (finding,) = nodes.check_disk({"n0": summary({**FS, "inodesFree": 49})}, 10 * GB, 5)
    assert finding.message == "Node n0: 49 of 1000 inodes free on nodefs; 5 % are needed."


def test_a_full_volume_of_the_release_fails_and_others_do_not_matter():
    def pod(namespace, free):
        volume = {"pvcRef": {"name": "data", "namespace": namespace}, "availableBytes": free, "capacityBytes": 100}
        return {"podRef": {"name": "p", "namespace": namespace}, "volume": [volume, {"name": "no claim"}]}

    found = nodes.check_volumes({"n0": summary(pods=[pod("hsc-jit", 9), pod("other", 0)])}, "hsc-jit", 10, 5, {})
    assert [one.message for one in found] == ["PersistentVolumeClaim data: 9 B of 100 B free; 10 % are needed."]
    assert nodes.check_volumes({"n0": summary(pods=[pod("hsc-jit", 10)])}, "hsc-jit", 10, 5, {"data": "redis-0"}) == []


def test_a_volume_with_room_and_without_inodes_and_one_without_figures():
    figures = {"availableBytes": 90, "capacityBytes": 100, "inodes": 400, "inodesFree": 10}
    volume = {"pvcRef": {"name": "data", "namespace": "hsc-jit"}, **figures}
    seen = {"n0": summary(pods=[{"podRef": {"name": "p"}, "volume": [volume]}])}
    full, silent = nodes.check_volumes(seen, "hsc-jit", 10, 5, {"data": "p", "shared": "q"})
    assert full.message == ("PersistentVolumeClaim data: 390 of 400 inodes used; 5 % must be free. Of its bytes, 90 B of 100 B are free.")
    assert (full.verdict, silent.verdict) == ("fail", "skipped")
    assert silent.message.startswith("PersistentVolumeClaim shared: no volume stats")


def test_a_kubelet_that_may_not_be_asked_is_skipped_and_one_that_does_not_answer_fails():
    assert nodes.silent_kubelet("n0", 403, "forbidden").verdict == "skipped"
    assert nodes.silent_kubelet("n0", 502, "connection refused").verdict == "fail"
