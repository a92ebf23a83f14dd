"""A live copy by LIST and WATCH: what changes is seen at once, and no broken watch is the end."""

import queue
import time

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._readiness import informer
from ansible_collections.hsc.jit.plugins.module_utils._readiness.informer import Mirror
from waiting import until


def pod(name, version="1"):
    return {"kind": "Pod", "metadata": {"name": name, "uid": name, "resourceVersion": version}}


class FakeCluster:
    """lists: answers of LIST, the last for ever. events: of WATCH; None ends one, an exception breaks it."""

    def __init__(self, *lists):
        self.lists, self.events, self.watched_from = list(lists), queue.Queue(), []

    def impatient(self):
        return self

    def list_at(self, path, **query):
        now = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(now, Exception):
            raise now
        return now, f"list-{len(self.lists)}"

    def watch(self, path, seconds, resourceVersion, **query):
        self.watched_from.append(resourceVersion)
        while (event := self.events.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event


@pytest.fixture
def mirror(monkeypatch):
    """A mirror of such a cluster; names() waits until its objects are the expected ones."""
    monkeypatch.setattr(informer, "_AGAIN_SECONDS", 0.01)
    opened = []

    def open_(*lists):
        cluster = FakeCluster(*lists)
        one = Mirror(cluster, {"pods": ("/pods", {})}).__enter__()
        opened.append((one, cluster))
        one.wait(0)  # from here on it follows
        return one, cluster

    yield open_
    for one, cluster in opened:
        one.__exit__(None, None, None)
        cluster.events.put(None)


def names(one):
    return sorted(item["metadata"]["name"] for item in one.objects("pods"))


def test_what_is_added_changed_and_deleted(mirror):
    one, cluster = mirror([pod("a")])
    assert names(one) == ["a"]
    cluster.events.put({"type": "ADDED", "object": pod("b", "2")})
    one.wait(5)
    until(lambda: names(one) == ["a", "b"])
    cluster.events.put({"type": "MODIFIED", "object": {**pod("a", "3"), "status": {"phase": "Running"}}})
    cluster.events.put({"type": "DELETED", "object": pod("b", "4")})
    until(lambda: names(one) == ["a"])
    assert one.objects("pods")[0]["status"] == {"phase": "Running"}


def test_a_watch_that_ends_goes_on_from_where_it_was(mirror):
    one, cluster = mirror([pod("a")])
    cluster.events.put({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}})
    cluster.events.put(None)
    until(lambda: cluster.watched_from == ["list-1", "77"])
    assert one.problem is None


@pytest.mark.parametrize(
    "end", [ApiError(410, "Expired", "too old"), {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}]
)
def test_what_the_server_has_forgotten_is_listed_anew(mirror, end):
    one, cluster = mirror([pod("a")], [pod("b")])
    cluster.events.put(end)
    until(lambda: names(one) == ["b"])
    assert one.problem is None


def test_while_the_server_is_away_the_problem_is_told_and_then_forgotten(mirror):
    away = ApiError(0, "Unreachable", "gone")
    one, cluster = mirror([pod("a")], away, away, [pod("b")])
    cluster.events.put(away)
    until(lambda: one.problem is away or names(one) == ["b"])
    until(lambda: names(one) == ["b"])
    until(lambda: one.problem is None)


def test_a_server_that_is_away_at_the_start_is_waited_for(mirror):
    one, _ = mirror(ApiError(503, "", "starting"), [pod("a")])
    until(lambda: names(one) == ["a"])


def test_what_can_never_be_listed_is_a_problem_at_once():
    with pytest.raises(ApiError, match="may not"), Mirror(FakeCluster(ApiError(403, "Forbidden", "may not")), {"pods": ("/pods", {})}):
        pass


def test_who_does_not_wait_begins_no_watch():
    cluster = FakeCluster([pod("a")])
    with Mirror(cluster, {"pods": ("/pods", {})}) as one:
        assert names(one) == ["a"]
    assert cluster.watched_from == []


def test_nothing_new_is_waited_for_no_longer_than_asked(mirror):
    one, _ = mirror([])
    began = time.monotonic()
    one.wait(0.05)
    assert time.monotonic() - began < 1
