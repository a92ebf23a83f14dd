"""The module restore_snapshot: errors before the restore begins."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _journal
from ansible_collections.hsc.jit.plugins.module_utils._backup import s3
from ansible_collections.hsc.jit.plugins.module_utils._backup.s3 import Offsite
from ansible_collections.hsc.jit.plugins.modules import restore_snapshot
from memory_api import MemoryApiServer


class UnreachableBucket:
    """boto3's client while its endpoint is away."""

    def get_paginator(self, operation):
        raise OSError("Could not connect to the endpoint URL")


@pytest.mark.parametrize("snapshot", ["newest", "20261124T120000Z"])
def test_unreachable_bucket_is_a_finding_with_a_next_step(run_main, tmp_path, monkeypatch, snapshot):
    monkeypatch.setattr(s3, "connect", lambda settings, cluster: Offsite(UnreachableBucket(), "backups"))
    journal = tmp_path / "run/journal.jsonl"
    result, code = run_main(
        restore_snapshot,
        MemoryApiServer().cluster(),
        directory=str(tmp_path),
        snapshot=snapshot,
        environment="staging",
        s3={"bucket": "backups"},
        journal=str(journal),
    )
    assert code == 1 and "exception" not in result
    assert "Bucket backups cannot be listed: Could not connect" in result["msg"]
    assert "backup_s3" in result["next_step"]
    (finding,) = result["findings"]
    assert (finding["id"], finding["verdict"], finding["next_step"]) == ("BK-05", "error", result["next_step"])
    assert [entry["kind"] for entry in _journal.read(journal)] == ["finding", "module"]
