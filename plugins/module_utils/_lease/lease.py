# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""One run at a time: a Kubernetes Lease that a run takes, keeps and gives back. ``standing`` decides; the rest asks and writes.

The Lease is not in the release's namespace, which may not exist yet and may be deleted, but in ``default`` (or where the option says),
as ``<release namespace>-deploy``. Every write carries the resourceVersion that was read, so of two runs at most one gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from .._errors import ApiError
from .._finding import Finding
from .._kube.client import Cluster

PROCESS = "hsc.jit/process"  # annotation: which process holds it, so that the same machine sees at once that it has ended
RENEW_SECONDS = 5.0
_ATTEMPTS = 3
_CLOCK_SECONDS = 30.0  # a difference of two clocks that is told
Standing = Literal["free", "mine", "ended", "expired", "held"]


@dataclass(frozen=True)
class Holder:
    """Who asks. identity: ``user@host:pid/run``; process: the mark of _process_mark.process_mark, or an empty string."""

    identity: str
    process: str = ""


@dataclass(frozen=True)
class Slot:
    """Which Lease: the namespace it lies in, the release it guards, and for how long one renewal counts."""

    namespace: str
    release: str
    seconds: int

    @property
    def name(self) -> str:
        return f"{self.release}-deploy"


def parse_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def format_time(moment: datetime) -> str:
    """Kubernetes' MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def last_write(lease: Mapping[str, Any]) -> datetime | None:
    """When the Lease was last written, by the API server's clock; the holder's own renewTime where the server has kept no time.

    The server notes the time of each change in managedFields, so the clock of the holder's machine does not count.
    """
    times = [entry["time"] for entry in lease.get("metadata", {}).get("managedFields") or [] if entry.get("time")]
    return parse_time(max(times) if times else lease.get("spec", {}).get("renewTime"))


def seconds_since_renewal(lease: Mapping[str, Any], now: datetime) -> float:
    """now: by the API server's clock."""
    written = last_write(lease)
    return (now - written).total_seconds() if written else float("inf")


def clock_difference(lease: Mapping[str, Any]) -> float:
    """Seconds by which the holder's clock is ahead of the API server's; negative if it is behind."""
    renewed, written = parse_time(lease.get("spec", {}).get("renewTime")), last_write(lease)
    return (renewed - written).total_seconds() if renewed and written else 0.0


def standing(lease: Mapping[str, Any] | None, me: Holder, now: datetime, ended: Callable[[str], bool]) -> Standing:
    """Whose it is. ``ended(mark)``: whether this machine knows that the marked process has ended."""
    spec = (lease or {}).get("spec") or {}
    if lease is None or not spec.get("holderIdentity"):
        return "free"
    if spec["holderIdentity"] == me.identity:
        return "mine"
    if ended((lease["metadata"].get("annotations") or {}).get(PROCESS, "")):
        return "ended"
    return "expired" if seconds_since_renewal(lease, now) > spec.get("leaseDurationSeconds", 0) else "held"


def body(lease: Mapping[str, Any] | None, slot: Slot, me: Holder | None, now: datetime) -> dict[str, Any]:
    """The Lease as ``me`` holds it; without ``me`` as a free one. A change of holder is counted, as Kubernetes does it."""
    old = (lease or {}).get("spec") or {}
    metadata: dict[str, Any] = {"name": slot.name, "namespace": slot.namespace}
    if lease:
        metadata["resourceVersion"] = lease["metadata"]["resourceVersion"]
    spec: dict[str, Any] = {"leaseDurationSeconds": slot.seconds, "leaseTransitions": old.get("leaseTransitions", 0)}
    if me:
        same = old.get("holderIdentity") == me.identity
        metadata["annotations"] = {PROCESS: me.process}
        spec["holderIdentity"] = me.identity
        spec["acquireTime"] = old["acquireTime"] if same else format_time(now)
        spec["renewTime"] = format_time(now)
        spec["leaseTransitions"] += 0 if same or lease is None else 1
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def finding(what: Standing, lease: Mapping[str, Any] | None, slot: Slot, me: Holder, now: datetime) -> Finding:
    """PF-90 in words: ``held`` fails and names the holder, everything else passes."""
    spec = (lease or {}).get("spec") or {}
    evidence = {"lease": f"{slot.namespace}/{slot.name}", "holder": spec.get("holderIdentity"), "acquired": spec.get("acquireTime")}
    if what != "held":
        before = {"ended": "its former holder's process has ended", "expired": "its former holder stopped renewing it"}.get(what, "")
        message = f"Release {slot.release}: no other run is at work" + (f" ({before}: {spec['holderIdentity']})." if before else ".")
        return Finding("PF-90", "pass", message, {**evidence, "asked_by": me.identity})
    since, ago = parse_time(spec.get("acquireTime")), seconds_since_renewal(lease or {}, now)
    began = f"{since:%Y-%m-%d %H:%M:%S} UTC" if since else "an unknown time"
    where, ahead = spec["holderIdentity"].split("/")[0], clock_difference(lease or {})
    message = (
        f"Release {slot.release}: {spec['holderIdentity']} is at work since {began} (Lease {evidence['lease']}, renewed {ago:.0f} s ago)."
    )
    if abs(ahead) > _CLOCK_SECONDS:
        message += f" The holder's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the API server's."
    return Finding(
        "PF-90",
        "fail",
        message,
        {**evidence, "renewed_seconds_ago": round(ago, 1), "holder_clock_ahead_seconds": round(ahead), "asked_by": me.identity},
        f"Wait until that run has ended, or end it (user@host:process is {where}): "
        f"the lease is free at most {spec.get('leaseDurationSeconds', slot.seconds) + RENEW_SECONDS:.0f} s later.",
    )


@dataclass
class Keeper:
    """The calls on one Lease. Time is given, so that a test does not wait."""

    cluster: Cluster
    slot: Slot
    me: Holder
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    ended: Callable[[str], bool]

    def server_time(self) -> datetime:
        """By the API server's clock, as its last answer told it: a runner whose clock is ahead must not keep a lease for hours."""
        return self.now() - timedelta(seconds=self.cluster.clock_skew)

    @property
    def _collection(self) -> str:
        return self.cluster.namespaced("leases", "/apis/coordination.k8s.io/v1", self.slot.namespace)

    def read(self) -> dict[str, Any] | None:
        return self.cluster.find(f"{self._collection}/{self.slot.name}")

    def look(self) -> tuple[Standing, dict[str, Any] | None]:
        """An expired lease is read again after one more renewal: its holder may only be slow."""
        lease = self.read()
        what = standing(lease, self.me, self.server_time(), self.ended)
        if what == "expired":
            self.sleep(RENEW_SECONDS + 1)
            again = self.read()
            if again and lease and again["spec"].get("renewTime") != lease["spec"].get("renewTime"):
                return "held", again
        return what, lease

    def take(self) -> tuple[Finding, bool]:
        """PF-90, and whether a process that renews must be started: not if this run's own is at work."""
        for _ in range(_ATTEMPTS):
            what, lease = self.look()
            verdict = finding(what, lease, self.slot, self.me, self.server_time())
            if what == "held":
                return verdict, False
            kept = what == "mine" and seconds_since_renewal(lease or {}, self.server_time()) < 2 * RENEW_SECONDS
            try:
                self._write(lease, self.me)
                return verdict, not kept
            except ApiError as problem:
                if problem.status != 409:
                    raise  # 409: another run was faster by a moment; what it wrote decides
        raise self._contended()

    def renew(self) -> bool:
        """False as soon as it is not ours any more."""
        return self._hand_to(self.me)

    def give_back(self) -> bool:
        """False if it was not ours."""
        return self._hand_to(None)

    def _hand_to(self, holder: Holder | None) -> bool:
        """False if it is not ours. The run and the process that renews for it both write: the slower of the two looks again."""
        for _ in range(_ATTEMPTS):
            lease = self.read()
            if standing(lease, self.me, self.server_time(), self.ended) != "mine":
                return False
            try:
                self._write(lease, holder)
                return True
            except ApiError as problem:
                if problem.status != 409:
                    raise
        raise self._contended()

    def _contended(self) -> ApiError:
        return ApiError(409, "Conflict", f"Lease {self.slot.namespace}/{self.slot.name} changed {_ATTEMPTS} times while it was written")

    def _write(self, lease: Mapping[str, Any] | None, me: Holder | None) -> None:
        new = body(lease, self.slot, me, self.server_time())
        if lease is None:
            self.cluster.create(self._collection, new)
        else:
            self.cluster.replace(f"{self._collection}/{self.slot.name}", new)
