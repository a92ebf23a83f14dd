import os

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup.postgres import DUMP_SECONDS, is_left_over, session_name
from ansible_collections.hsc.jit.plugins.module_utils._process import has_ended, process_mark

MINE = process_mark(os.getpid())
GONE = f"{MINE.rpartition('/')[0].rpartition('/')[0]}/999999999/1"
OTHERS = "another-boot/4026531836/12/34"


def test_a_session_is_called_by_what_asked_for_it_in_postgres_63_characters():
    assert session_name("") == "hsc.jit-backup"
    name = session_name(f"{'b' * 36}/{'1' * 10}/4194304/12345678901234")
    assert name.endswith(" 4194304 12345678901234")
    assert len(name) <= 63


@pytest.mark.parametrize(
    ("name", "age", "left"),
    [
        (session_name(MINE), 3600, False),
        (session_name(GONE), 1, True),
        (session_name(OTHERS), DUMP_SECONDS, False),  # nobody here knows whether that process lives
        (session_name(OTHERS), DUMP_SECONDS + 1, True),
        ("hsc.jit-backup", 5, False),
        ("hsc.jit-backup", DUMP_SECONDS + 1, True),
    ],
    ids=["slow and alive", "gone", "others", "others, late", "unnamed", "unnamed, late"],
)
def test_whose_dump_nobody_waits_for(name, age, left):
    assert is_left_over(name, age, MINE, has_ended) is left
