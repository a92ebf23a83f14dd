"""A Snapshot's own rules: damaged files, what counts as different, who may migrate on it, what is pruned."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup import snapshot as backup_snapshot
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Artefact, Snapshot, damage, differences, file_sha256, refusal

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def artefact(tmp_path):
    path = tmp_path / "redis.rdb"
    path.write_bytes(b"REDIS0011 and the rest")
    return Artefact("redis", str(path), path.stat().st_size, file_sha256(path), "hsc-jit-redis-0", {"keys.string": 3})


def test_the_file_that_was_written_is_whole(artefact):
    assert damage(artefact) == ""


@pytest.mark.parametrize(
    ("content", "said"), [(None, "is gone"), (b"", "0 bytes"), (b"REDIS", "5 bytes"), (b"REDIS0011 and the rust", "SHA-256 differs")]
)
def test_another_file_is_damage(artefact, tmp_path, content, said):
    path = tmp_path / "redis.rdb"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert said in damage(artefact)


@pytest.mark.parametrize(
    ("before", "after", "restored", "found"),
    [
        ({"keys": 3}, {"keys": 3}, {"keys": 3}, 0),
        ({"keys": 3}, {"keys": 3}, {"keys": 2}, 1),
        ({"keys": 3}, {"keys": 3}, {}, 1),
        ({}, {}, {"keys": 1}, 1),
        # in use: three keys came while the dump was made
        ({"keys": 3}, {"keys": 6}, {"keys": 5}, 0),
        ({"keys": 3}, {"keys": 6}, {"keys": 0}, 0),
        ({"keys": 300}, {"keys": 306}, {"keys": 0}, 1),
        ({"revision": "0002"}, {"revision": "0002"}, {"revision": "0001"}, 1),
        ({"revision": "0002"}, {"revision": "0002"}, {}, 1),
        ({"sample": "a"}, {"sample": "b"}, {"sample": "c"}, 0),
        # in use: two keys came and went again while the dump was made
        ({"keys.set": 9, "writes": 1}, {"keys.set": 9, "writes": 5}, {"keys.set": 11}, 0),
        ({"keys.set": 9, "writes": 1}, {"keys.set": 9, "writes": 1}, {"keys.set": 11, "writes": 7}, 1),
        ({"keys.set": 9, "writes": 1}, {"keys.set": 9, "writes": 5}, {"keys.set": 2}, 1),
        ({"keys.set": 9, "elements.set": 90, "writes": 1}, {"keys.set": 9, "elements.set": 90, "writes": 5}, {"elements.set": 60}, 1),
        ({"writes": 1}, {"writes": 9}, {"keys.list": 1, "elements.list": 2}, 0),  # a queue that was empty before and after
        ({"writes": 1}, {"writes": 1}, {"keys.list": 1, "elements.list": 2}, 2),
        ({"sample": "a", "writes": 1}, {"sample": "a", "writes": 2}, {"sample": "c"}, 0),
        ({"mark": "a", "writes": 1}, {"mark": "a", "writes": 99}, {"mark": ""}, 1),
    ],
)
def test_differences(before, after, restored, found):
    assert len(differences(before, after, restored)) == found


def test_a_snapshot_is_proved_when_every_artefact_is(artefact, tmp_path):
    snapshot = Snapshot("1", NOW.isoformat(), "hsc-jit", str(tmp_path))
    assert not snapshot.proved
    snapshot.artefacts.append(artefact)
    assert not snapshot.proved
    artefact.proof = {"restored": {}, "seconds": 1.0}
    assert snapshot.proved
    snapshot.write()
    assert json.loads((tmp_path / "snapshot.json").read_text())["proved"] is True
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (None, "no Snapshot"),
        ({}, "no Snapshot"),
        ({"id": "7", "proved": False, "created": NOW.isoformat()}, "never restored"),
        ({"id": "7", "proved": True, "created": (NOW - 2 * HOUR).isoformat()}, "120 minutes old; 60 are allowed"),
        ({"id": "7", "proved": True, "created": NOW.isoformat()}, ""),
    ],
)
def test_who_may_migrate(snapshot, said):
    found = refusal(snapshot, NOW, HOUR)
    assert said in found
    assert bool(said) == bool(found)


def test_old_snapshots_and_those_of_killed_runs_are_pruned_but_never_the_newest(tmp_path):
    for number in range(1, 6):
        (tmp_path / str(number)).mkdir()
        if number not in (2, 5):  # 2 was killed; 5 is being written
            (tmp_path / str(number) / "snapshot.json").write_text("{}")
    assert sorted(backup_snapshot.prune(tmp_path, 2)) == ["1", "2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4", "5"]


def test_a_consumer_group_that_is_gone_is_seen_in_a_busy_source_too():
    source = {"keys.stream": 1, "groups": "a", "streams": "x", "writes": 10}
    busy = {**source, "writes": 90}
    assert differences(source, busy, {**source, "groups": "b"}) == ["groups: b was restored, a is in the source"]
    assert differences(source, busy, {**source, "streams": "y"}) == [], "groups move on while the product works"
    assert differences(source, source, {**source, "streams": "y"}) == ["streams: y was restored, x is in the source"]
    assert differences({"db3.keys.string": 1}, {"db3.keys.string": 1}, {}) == ["db3.keys.string: 0 restored, 1 in the source"]
