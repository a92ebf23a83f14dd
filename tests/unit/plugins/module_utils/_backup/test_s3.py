"""Copies elsewhere, against an S3 server of our own on loopback."""

import base64
import logging

import boto3
import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup import s3
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Artefact, Snapshot, file_sha256
from ansible_collections.hsc.jit.plugins.module_utils._errors import BackupError
from memory_api import MemoryApiServer
from moto.server import ThreadedMotoServer

KEYS = {"access-key": "the-access-key", "secret-key": "the-very-secret-key"}


def cluster():
    """A namespace with one Secret."""
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in KEYS.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hsc-backup-s3"}, "data": encoded}
    return MemoryApiServer(secret).cluster()


@pytest.fixture(scope="module")
def endpoint():
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def settings(endpoint, request):
    bucket = f"bucket-{abs(hash(request.node.name))}"
    keys = {"aws_access_key_id": KEYS["access-key"], "aws_secret_access_key": KEYS["secret-key"]}
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys).create_bucket(Bucket=bucket)
    return {"endpoint": endpoint, "bucket": bucket, "prefix": "/one/of/many/", "region": "us-east-1", "secret": "hsc-backup-s3"}


@pytest.fixture
def offsite(settings):
    return s3.connect(settings, cluster())


def taken(folder, name, encryption="age"):
    path = folder / name / "redis.rdb.age"
    path.parent.mkdir(parents=True)
    path.write_bytes(name.encode() * 50)
    artefact = Artefact("redis", str(path), path.stat().st_size, file_sha256(path), "pod", {"keys": 1}, {"restored": {}}, encryption)
    snapshot = Snapshot(name, "2026-11-24T12:00:00+00:00", "hsc-jit", str(path.parent), [artefact])
    snapshot.write()
    return snapshot


def test_a_copy_is_whole_and_comes_back_on_another_machine(offsite, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    snapshot = taken(here, "20261124T1")
    finding, _ = s3.keep_copies(offsite, snapshot, here, 10)
    assert (finding.id, finding.verdict) == ("BK-04", "pass")
    assert offsite.ids() == ["20261124T1"]
    fetched = s3.choose(offsite, there, "newest")
    assert fetched.proved
    assert fetched.artefacts[0].path == str(there / "20261124T1/redis.rdb.age")
    assert (there / "20261124T1/redis.rdb.age").read_bytes() == b"20261124T1" * 50
    assert s3.choose(offsite, there, "20261124T1").id == fetched.id
    with pytest.raises(ValueError, match="There is no snapshot '20200101T1'"):
        s3.choose(offsite, there, "20200101T1")


def test_the_newest_counts_wherever_it_lies_but_never_what_a_restore_took(offsite, tmp_path):
    here, other = tmp_path / "here", tmp_path / "other"
    taken(here, "20261124T1")
    offsite.push(taken(other, "20261124T0"))
    assert s3.choose(offsite, here, "newest").id == "20261124T1"
    offsite.push(taken(other, "20261124T3"))
    offsite.push(taken(other, "20261124T4-safety"))
    assert s3.choose(offsite, here, "newest").id == "20261124T3"


def test_old_ones_go_here_and_there_and_so_do_those_of_killed_runs(offsite, tmp_path):
    for number in (1, 2, 3):
        offsite.push(taken(tmp_path, f"20261124T{number}"))
    for name in ("20261124T0", "20261124T9"):  # killed: no description; the second may still be at work
        offsite.client.put_object(Bucket=offsite.bucket, Key=f"one/of/many/{name}/redis.rdb.age", Body=b"half")
    offsite.client.put_object(Bucket=offsite.bucket, Key="somebody/else", Body=b"stays")
    finding, removed = s3.keep_copies(offsite, taken(tmp_path, "20261124T4"), tmp_path, 2)
    assert finding.verdict == "pass"
    assert offsite.ids() == ["20261124T4", "20261124T3"]
    assert sorted(removed) == ["20261124T1", "20261124T2"]
    assert finding.evidence["removed_there"] == ["20261124T0", "20261124T1", "20261124T2"]
    keys = [item["Key"] for item in offsite.client.list_objects_v2(Bucket=offsite.bucket)["Contents"]]
    assert {"somebody/else", "one/of/many/20261124T9/redis.rdb.age"} <= set(keys)


def test_a_copy_that_arrives_changed_fails_and_nothing_old_goes(offsite, tmp_path, monkeypatch):
    old, new = taken(tmp_path, "20261124T1"), taken(tmp_path, "20261124T2")
    offsite.push(old)

    def lie(path, bucket, key):
        offsite.client.put_object(Bucket=bucket, Key=key, Body=b"something else")

    monkeypatch.setattr(offsite.client, "upload_file", lie)
    finding, removed = s3.keep_copies(offsite, new, tmp_path, 1)
    assert (finding.verdict, removed) == ("fail", [])
    assert "SHA-256 differs" in finding.message
    assert offsite.ids() == ["20261124T1"]
    assert (tmp_path / "20261124T1").exists()


def test_a_damaged_copy_is_not_fetched(offsite, tmp_path):
    offsite.push(taken(tmp_path / "here", "20261124T1"))
    offsite.client.put_object(Bucket=offsite.bucket, Key="one/of/many/20261124T1/redis.rdb.age", Body=b"x" * 500)
    with pytest.raises(BackupError, match="SHA-256 differs"):
        s3.choose(offsite, tmp_path / "there", "newest")
    assert list((tmp_path / "there").iterdir()) == []


def test_a_store_that_is_away_is_a_finding_without_a_secret(settings, tmp_path):
    offsite = s3.connect({**settings, "bucket": "no-such-bucket"}, cluster())
    finding, _ = s3.keep_copies(offsite, taken(tmp_path, "20261124T1"), tmp_path, 3)
    assert finding.verdict == "fail"
    assert "no-such-bucket" in finding.message
    assert not [value for value in KEYS.values() if value in f"{finding.as_dict()}"]


def test_copies_that_anybody_can_read_are_warned_of(offsite, tmp_path):
    finding, _ = s3.keep_copies(offsite, taken(tmp_path, "20261124T1", encryption=""), tmp_path, 3)
    assert finding.verdict == "warn"
    assert "backup_age_recipients" in finding.next_step


def test_without_a_place_only_the_old_ones_go(tmp_path):
    taken(tmp_path, "20261124T1")
    finding, removed = s3.keep_copies(None, taken(tmp_path, "20261124T2"), tmp_path, 1)
    assert (finding.verdict, removed) == ("pass", ["20261124T1"])
    assert "no copy elsewhere" in finding.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"bucket": ""}, "bucket is missing"), ({"password": "x"}, "unknown: password"), ({"secret": "other"}, "Secret other")],
)
def test_settings_that_are_none_are_named(settings, changes, said):
    with pytest.raises(ValueError, match=said):
        s3.connect({**settings, **changes}, cluster())
    assert s3.connect({}, cluster()) is None
