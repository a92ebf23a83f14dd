import itertools
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._lease import lease as lease_module
from ansible_collections.hsc.jit.plugins.module_utils._lease.lease import Holder, Keeper, Slot, standing
from memory_api import MemoryApiServer

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SLOT = Slot("default", "hsc-jit", 20)
ANN, BEN = Holder("ann@a:1/r1", "boot/ns/1/10"), Holder("ben@b:2/r2", "boot/ns/2/20")


class Clock:
    def __init__(self):
        self.time = NOON

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += timedelta(seconds=seconds)


PATH = "/apis/coordination.k8s.io/v1/namespaces/default/leases/hsc-jit-deploy"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cluster(clock):
    return MemoryApiServer(now=clock.now).cluster()


def spec_of(cluster):
    return cluster.get(PATH)["spec"]


def before_next_write(cluster, action, *, always=False):
    """Runs ``action`` just before the next write arrives, as a client that is faster by a moment."""

    def once(method, path):
        cluster.pool.before_write = lambda method, path: None
        action()
        if always:
            cluster.pool.before_write = once

    cluster.pool.before_write = once


@pytest.fixture
def keeper(cluster, clock):
    """renewed: seconds by which another process' clock is ahead, so that its renewal is another write."""

    moves = itertools.count(1)

    def make(who, ended=lambda mark: False, renewed=0):
        return Keeper(cluster, SLOT, who, lambda: clock.now() + timedelta(milliseconds=renewed * next(moves)), clock.sleep, ended)

    return make


def held_by(who, renewed=NOON):
    lease = lease_module.body(None, SLOT, who, renewed)
    lease["metadata"]["resourceVersion"] = "1"
    return lease


@pytest.mark.parametrize(
    ("lease", "ended", "expected"),
    [
        (None, False, "free"),
        (lease_module.body(None, SLOT, None, NOON), False, "free"),
        (held_by(ANN), False, "mine"),
        (held_by(BEN), False, "held"),
        (held_by(BEN), True, "ended"),
        (held_by(BEN, NOON - timedelta(seconds=20)), False, "held"),
        (held_by(BEN, NOON - timedelta(seconds=21)), False, "expired"),
        (held_by(ANN, NOON - timedelta(hours=1)), False, "mine"),
    ],
)
def test_standing(lease, ended, expected):
    assert standing(lease, ANN, NOON, lambda mark: ended) == expected


def test_the_second_run_is_refused_at_once_and_told_who_since_when_and_what_to_do(keeper, clock):
    assert keeper(ANN).take()[0].verdict == "pass"
    clock.sleep(4)
    finding, keep = keeper(BEN).take()
    assert (finding.id, finding.verdict, keep) == ("PF-90", "fail", False)
    assert finding.message == (
        "Release hsc-jit: ann@a:1/r1 is at work since 2026-11-24 12:00:00 UTC (Lease default/hsc-jit-deploy, renewed 4 s ago)."
    )
    assert "ann@a:1" in finding.next_step and "at most 25 s later" in finding.next_step
    assert clock.now() == NOON + timedelta(seconds=4)


def test_holding_again_renews_and_starts_no_second_keeper(keeper, cluster, clock):
    assert keeper(ANN).take()[1] is True
    clock.sleep(3)
    assert keeper(ANN).take()[1] is False
    assert spec_of(cluster)["renewTime"] == "2026-11-24T12:00:03.000000Z"
    assert spec_of(cluster)["acquireTime"] == "2026-11-24T12:00:00.000000Z"
    clock.sleep(12)
    assert keeper(ANN).take()[1] is True, "nobody renewed for two turns: its keeper is gone"


def test_a_run_that_ended_on_this_machine_is_replaced_without_waiting(keeper, cluster, clock):
    keeper(BEN).take()
    finding, keep = keeper(ANN, ended=lambda mark: mark == BEN.process).take()
    assert (finding.verdict, keep, clock.now()) == ("pass", True, NOON)
    assert "its former holder's process has ended: ben@b:2/r2" in finding.message
    assert spec_of(cluster)["holderIdentity"] == ANN.identity and spec_of(cluster)["leaseTransitions"] == 1


def test_an_expired_lease_is_taken_after_a_second_look(keeper, clock):
    keeper(BEN).take()
    clock.sleep(21)
    assert keeper(ANN).take()[0].verdict == "pass"
    assert clock.now() == NOON + timedelta(seconds=27)


def test_a_clock_that_is_ahead_does_not_take_a_lease_that_is_renewed(keeper, cluster, clock, monkeypatch):
    keeper(BEN).take()
    clock.sleep(60)
    monkeypatch.setattr(clock, "sleep", lambda seconds: cluster.patch_merge(PATH, {"spec": {"renewTime": "2026-11-24T12:00:05.000000Z"}}))
    assert keeper(ANN).take()[0].verdict == "fail"


def test_a_runner_whose_clock_is_ahead_writes_the_servers_time(keeper, cluster, clock):
    """Else nobody could take the lease for hours, if that machine were lost."""
    cluster.clock_skew = 10_800.0
    keeper(ANN).take()
    assert spec_of(cluster)["renewTime"] == "2026-11-24T09:00:00.000000Z"


def test_of_two_runs_at_the_same_moment_the_slower_is_refused(keeper, cluster):
    before_next_write(cluster, lambda: keeper(BEN).take())
    finding, _ = keeper(ANN).take()
    assert finding.verdict == "fail" and "ben@b:2/r2" in finding.message


@pytest.mark.parametrize("write", ["renew", "give_back"])
def test_a_renewal_at_the_same_moment_is_no_failure(keeper, cluster, write):
    """The process that renews for the run was faster by a moment."""
    keeper(ANN).take()

    before_next_write(cluster, lambda: keeper(ANN, renewed=1).renew())
    assert getattr(keeper(ANN), write)() is True
    assert ("holderIdentity" in spec_of(cluster)) == (write == "renew")


def test_what_changes_again_and_again_is_given_up(keeper, cluster):
    keeper(ANN).take()

    before_next_write(cluster, lambda: keeper(ANN, renewed=1).renew(), always=True)
    with pytest.raises(ApiError, match="3 times"):
        keeper(ANN).give_back()


def test_only_the_holder_renews_and_gives_back(keeper, cluster):
    keeper(ANN).take()
    assert keeper(BEN).renew() is False and keeper(BEN).give_back() is False
    assert keeper(ANN).renew() is True and keeper(ANN).give_back() is True
    assert "holderIdentity" not in spec_of(cluster)
    assert keeper(BEN).take()[0].verdict == "pass"


@pytest.mark.parametrize("hours", [3, -3])
def test_the_clock_of_the_holders_machine_does_not_count(cluster, keeper, clock, hours):
    """A Lease whose renewTime is hours away is held while it is renewed, and free when nobody renews it."""
    keeper(BEN).take()
    renewed = lease_module.format_time(clock.now() + timedelta(hours=hours))
    cluster.patch_merge(PATH, {"spec": {"renewTime": renewed}})
    finding, _ = keeper(ANN).take()
    assert finding.verdict == "fail"
    assert f"10800 s {'ahead of' if hours > 0 else 'behind'} the API server's" in finding.message
    clock.sleep(SLOT.seconds + 1)
    assert keeper(ANN).take()[0].verdict == "pass"
