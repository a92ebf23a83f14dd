import json
import threading

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _journal
from ansible_collections.hsc.jit.plugins.module_utils._errors import JournalError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run-1" / "journal.jsonl"


def write(path, count):
    for number in range(count):
        _journal.append(path, "2026-11-24T00:00:00Z", "preflight_check", "finding", {"number": number})


def test_entries_come_back_in_order_with_the_run_they_belong_to(path):
    write(path, 3)
    entries = list(_journal.read(path))
    assert [entry["data"]["number"] for entry in entries] == [0, 1, 2]
    assert {entry["run"] for entry in entries} == {"run-1"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_one_changed_byte_is_found_and_its_line_named(path):
    write(path, 5)
    good = path.read_bytes()
    for position in range(0, len(good), 37):
        if good[position : position + 1] == b"\n":
            continue
        path.write_bytes(good[:position] + bytes([good[position] ^ 1]) + good[position + 1 :])
        with pytest.raises(JournalError, match=r"line [1-5]"):
            _journal.verify(path)


@pytest.mark.parametrize(
    "damage", [lambda lines: lines[1:], lambda lines: [lines[1], lines[0], *lines[2:]], lambda lines: lines[:1] + lines[2:]]
)
def test_a_missing_or_moved_line_is_found(path, damage):
    write(path, 3)
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(JournalError):
        _journal.verify(path)


def test_half_a_line_of_a_killed_writer_is_cut_and_the_chain_goes_on(path):
    write(path, 2)
    with path.open("ab") as file:
        file.write(b'{"seq": 3, "half')
    write(path, 1)
    assert _journal.verify(path) == 3


def test_parallel_writers_make_one_chain(path):
    threads = [threading.Thread(target=write, args=(path, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _journal.verify(path) == 40


def test_an_entry_is_canonical_json(path):
    write(path, 1)
    line = path.read_text().splitlines()[0]
    assert line == json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"))
