"""Scratch servers: what a killed run left behind."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup.scratch import Scratch
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Artefact
from ansible_collections.hsc.jit.plugins.module_utils._errors import BackupError
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from fake_clock import FakeClock


class HeldPod:
    """A cluster in which the scratch pod of an earlier run has a finalizer that nobody removes."""

    namespace = "hsc-jit"

    def namespaced(self, plural):
        return plural

    def find(self, path):
        return {"metadata": {"name": path, "finalizers": ["example.com/hold"]}, "spec": {"containers": [{"image": "redis"}]}}

    def delete(self, path, **options):
        return True


def test_left_over_pod_with_a_finalizer_does_not_hang_the_run(tmp_path):
    clock = FakeClock()
    scratch = Scratch(HeldPod(), Progress(), {}, clock)
    artefact = Artefact("redis", "redis.rdb", 1, "sha", "hsc-jit-redis-0", {})
    message = r"still exists 60 s after its deletion \(finalizers: example.com/hold\)"
    with pytest.raises(BackupError, match=message) as caught, scratch.server(artefact, tmp_path / "redis.rdb"):
        pytest.fail("the server cannot start")
    assert clock.now == pytest.approx(60.0)
    assert "kubectl -n hsc-jit get pod hsc-jit-restore-proof-redis -o yaml" in caught.value.next_step
