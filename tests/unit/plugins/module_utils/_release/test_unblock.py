"""What is tried again at once, and what is left in peace: a server that has the objects of a test, and counts what was asked of it."""

import copy
from datetime import UTC, datetime

from ansible_collections.hsc.jit.plugins.module_utils._kube.objects import key
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._release.unblock import Stuck
from fake_clock import FakeClock
from judged import ready_pod, unready
from memory_api import MemoryApiServer

NOW = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)


def server_of(*objects):
    """The objects, with the labels by which our pods are found."""
    labelled = [copy.deepcopy(obj) for obj in objects]
    for obj in labelled:
        obj["metadata"]["labels"] = {**obj["metadata"].get("labels", {}), **PART_OF}
    return MemoryApiServer(*labelled)


def pod(name="store-0", revision="old", since="01:59:50", owner=("StatefulSet", "s"), waiting=None, **metadata):
    one = unready(since, name=name, **({"waiting": {"reason": waiting}} if waiting else {"running": {}}))
    owners = [{"kind": owner[0], "uid": owner[1]}]
    one |= {"apiVersion": "v1"}
    one["metadata"] |= {"labels": {"controller-revision-hash": revision}, "ownerReferences": owners, **metadata}
    return one


def ready(**more):
    return {**pod(**more), "status": ready_pod()["status"]}


def stateful_set(seen=2, replicas=1, **spec):
    status = {"observedGeneration": seen, "updateRevision": "new", "currentRevision": "old", "replicas": 1}
    metadata = {"name": "store", "uid": "s", "generation": 2}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": replicas, **spec}, "status": status}


def refused_deployment():
    status = {"observedGeneration": 1, "conditions": [{"type": "ReplicaFailure", "status": "True"}]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "uid": "d"}, "spec": {}, "status": status}


def replica_set(name, replicas, wanted=2):
    metadata = {"name": name, "ownerReferences": [{"kind": "Deployment", "uid": "d"}]}
    status = {"observedGeneration": 1, "replicas": replicas}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {"replicas": wanted}, "status": status}


def tried(server, *live, never_good=False):
    """Last parts of the path of each write: ``pods/store-0``."""
    server.requests.clear()
    Stuck(server.cluster(), {key(one): one for one in live}, NOW, FakeClock(), never_good).try_again(live)
    return ["/".join(path.split("/")[-2:]) for _, path in server.writes()]


def lists(server, plural):
    return [path for method, path, _ in server.requests if method == "GET" and path.endswith(f"/{plural}")]


def test_a_store_that_recovers_is_left_in_peace():
    """Not ready for ten seconds, and of a release that was good."""
    assert tried(server_of(pod()), stateful_set()) == []


def test_a_store_that_was_never_good_or_needs_too_long_or_does_not_run_makes_room_for_the_corrected_one():
    assert tried(server_of(pod()), stateful_set(), never_good=True) == ["pods/store-0"]
    assert tried(server_of(pod(since="01:50:00")), stateful_set()) == ["pods/store-0"]
    assert tried(server_of(pod(waiting="ContainerCreating")), stateful_set()) == ["pods/store-0"]


def test_what_is_ready_or_ending_or_new_already_stays():
    pods = ready(), pod(deletionTimestamp="now"), pod(revision="new"), pod(owner=("StatefulSet", "another"))
    assert tried(server_of(*pods), stateful_set(), never_good=True) == []


def test_old_pods_that_somebody_holds_back_stay():
    for strategy in ({"type": "OnDelete"}, {"rollingUpdate": {"partition": 1}}):
        assert tried(server_of(pod()), stateful_set(updateStrategy=strategy), never_good=True) == []


def test_its_controller_is_waited_for_until_it_has_seen_the_new_template():
    server = server_of(pod(), stateful_set(seen=1))
    looks = []

    def seen_at_the_second_look(method, query, body):
        looks.append(method)
        return stateful_set(seen=len(looks))

    server.answers["/apis/apps/v1/namespaces/hsc-jit/statefulsets/store"] = seen_at_the_second_look
    assert tried(server, stateful_set(seen=1), never_good=True) == ["pods/store-0"]
    assert len(looks) == 2


def test_nothing_is_deleted_for_a_controller_that_does_not_look():
    for answer in ([stateful_set(seen=1)], []):
        assert tried(server_of(pod(), *answer), stateful_set(seen=1), never_good=True) == []


def test_a_pod_in_back_off_is_deleted_once():
    failed = pod(waiting="CrashLoopBackOff"), pod("web-1", owner=("ReplicaSet", "r"), waiting="ImagePullBackOff")
    own = pod("job-1", owner=("Job", "j"), waiting="CrashLoopBackOff"), pod("web-2", owner=("ReplicaSet", "r"), waiting="ContainerCreating")
    server = server_of(*failed, *own)
    assert tried(server, stateful_set(), never_good=True) == ["pods/store-0", "pods/web-1"]
    assert len(lists(server, "pods")) == 1


def test_what_is_as_it_should_be_costs_one_list():
    server = server_of(ready(), ready(name="web-1", owner=("ReplicaSet", "r")))
    assert tried(server, stateful_set(), never_good=True) == []
    assert len(server.requests) == len(lists(server, "pods")) == 1


def test_owners_that_were_refused_their_pods_are_had_to_look_again():
    server = server_of(replica_set("web-new", 1), replica_set("web-old", 2), refused_deployment(), stateful_set(replicas=3))
    assert tried(server, refused_deployment(), stateful_set(replicas=3)) == ["replicasets/web-new"] * 2 + ["statefulsets/store"] * 2
    for kind, name in (("ReplicaSet", "web-new"), ("StatefulSet", "store")):
        assert "hsc.jit/tried-again" not in server.find("apps/v1", kind, name)["metadata"].get("annotations", {}), "set, and removed again"


def test_a_stateful_set_whose_newest_spec_is_not_seen_is_not_short():
    assert tried(server_of(), stateful_set(seen=1, replicas=3)) == []
