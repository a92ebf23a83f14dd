from ansible_collections.hsc.jit.plugins.module_utils._checklist import APART, ROWS
from ansible_collections.hsc.jit.plugins.module_utils._report.results import About, build
from ansible_collections.hsc.jit.plugins.module_utils._report.text import as_markdown, table

EVIL = "bad\x1b[2J\nline | with [a](http://x) <b> `c`"


def checklist():
    data = {"id": "VF-01", "verdict": "fail", "message": EVIL, "evidence": {}, "next_step": "look there"}
    entry = {"time": "2026-11-24T04:00:00+00:00", "module": "verify_check", "kind": "finding", "data": data, "hash": "x"}
    return build([entry], About("test", "run-1", way_back="ansible-playbook back.yml"))


def test_the_table_is_aligned_fits_and_cannot_be_recoloured_by_what_it_shows():
    lines = list(table(checklist(), {"page": "http://x", "report": "/r.html"}, width=60))
    texts = [line for _verdict, line in lines]
    assert max(map(len, texts[:-2])) <= 60
    assert not any("\x1b" in line or "\n" in line for line in texts)
    assert ("fail", "VF-01  fail     bad [2J line | with [a](http://x) <b> `c`") in lines
    assert ("", " " * 16 + "→ look there") in lines
    assert texts[0].startswith("NO-GO")
    assert texts[-1] == "report          /r.html"


def test_rows_that_were_not_reached_stand_in_the_table():
    assert sum(line[7:14] == "not run" for _verdict, line in table(checklist(), {})) == sum(row.phase not in APART for row in ROWS) - 1


def test_rows_of_other_runs_do_not_stand_in_the_way():
    lines = [line for _verdict, line in table(build([], About("test", "run-1", phases=["verify"])), {})]
    assert [line[:5] for line in lines if line[2:3] == "-"] == [row.id for row in ROWS if row.phase == "verify"]


def test_markdown_cells_stay_cells():
    (line,) = [line for line in as_markdown(checklist()).splitlines() if line.startswith("| VF-01")]
    assert line.replace("\\|", "").count("|") == 5
    assert "[a](http" not in line
    assert "The way back: `ansible-playbook back.yml`" in as_markdown(checklist())
