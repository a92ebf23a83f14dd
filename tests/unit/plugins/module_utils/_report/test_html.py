import re
from html.parser import HTMLParser

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._checklist import ROWS
from ansible_collections.hsc.jit.plugins.module_utils._report.changes import as_changes
from ansible_collections.hsc.jit.plugins.module_utils._report.html import as_html
from ansible_collections.hsc.jit.plugins.module_utils._report.markup import Markup, tag, text
from ansible_collections.hsc.jit.plugins.module_utils._report.results import About, build

EVIL = """<script>alert(1)</script><img src=x onerror='a'>" & </pre>\x1b[31m"""
VOID = {"meta", "img", "br", "line"}


def entry(number, kind, module="verify_check", **data):
    stamp = f"2026-11-24T04:00:{number:02}.000+00:00"
    return {"seq": number, "time": stamp, "run": "r", "module": module, "kind": kind, "data": data, "prev": "", "hash": "ab"}


def finding(number, row, verdict, message, evidence=None):
    return entry(number, "finding", id=row, verdict=verdict, message=message, evidence=evidence or {}, next_step=message)


LATENCY = {
    "load": "HTTP", "requests": 2, "failed": 1, "p50_ms": 1.0, "p95_ms": None, "p99_ms": None, "max_ms": 2.0, "threshold_ms": 200,
    "by_path": {EVIL: {"requests": 1, "p95_ms": None}, "/b": {"requests": 1, "p95_ms": 1}}, "slowest_by_second_ms": [1.0, None],
    "failed_by_second": [0, 1],
}  # fmt: skip
LOGS = {"component": EVIL, "errors_per_minute": 2.0, "errors_per_minute_before": None, "samples": [{"count": 1, "new": True, "line": EVIL}]}


@pytest.fixture
def page():
    entries = [
        finding(1, "VF-01", "pass", EVIL, {EVIL: [EVIL], "n": {"a": {"b": EVIL}}}),
        finding(2, "VF-03", "fail", EVIL, LATENCY),
        finding(3, "VF-04", "warn", EVIL, LOGS),
        entry(
            4, "change", module="release", before={EVIL: EVIL, "Job a": "absent"}, after={EVIL: "sha256:" + "1" * 64, "Job a": "present"}
        ),
        entry(5, "module", seconds=1.0, failed=True, message=EVIL),
    ]
    return as_html(build(entries, About(EVIL, EVIL, "javascript:alert(1)", failure=EVIL, way_back=EVIL, journal=EVIL)), b"\x89PNG")


class Structure(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.attributes += [(name, key, value) for key, value in attributes]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.tags.append(name)
        self.attributes += [(name, key, value) for key, value in attributes]

    def handle_endtag(self, name):
        assert self.open.pop() == name


def test_latency_stands_beside_that_of_the_run_before():
    entries = [finding(2, "VF-03", "pass", "fine", {**LATENCY, "p95_ms": 5.5, "by_path": {}})]
    checklist = {**build(entries, About("local", "r2")), "previous": {"run": "r1", "verdict": "go", "p95_ms": {"HTTP": 4.25}}}
    page = as_html(checklist)
    assert ">4.25</td>" in page
    assert page.index(">4.25</td>") < page.index(">5.5</td>")
    assert "Before: run r1." in page


def test_whatever_is_said_stays_text(page):
    structure = Structure()
    structure.feed(page)
    assert structure.open == []
    assert "script" not in structure.tags
    assert not [key for _tag, key, _value in structure.attributes if key.startswith("on")]
    assert "\x1b" not in page


def test_the_file_needs_nothing_from_outside(page):
    structure = Structure()
    structure.feed(page)
    sources = [value for _tag, key, value in structure.attributes if key in ("src", "href")]
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"url\(|@import", page)
    assert "default-src &#x27;none&#x27;" in page


def test_it_says_the_verdict_first_and_every_row(page):
    body = page.partition("<body>")[2]
    assert body.index("NO-GO") < body.index("What stops it") < body.index("The checklist")
    assert body.count('class="id"') == len(ROWS)


def test_a_digest_is_shown_by_its_head(page):
    assert "sha256:111111111111\u2026" in page


def test_text_is_escaped_unless_it_was_made_here():
    assert text("<b>") == "&lt;b&gt;"
    assert tag("p", "<b>", Markup("<i></i>"), None, False, class_='a"b') == '<p class="a&quot;b">&lt;b&gt;<i></i></p>'


def test_what_came_as_a_whole_is_named_once(page):
    assert "Created (1): </b>Job a" in page


def test_the_same_step_is_shown_once_for_all_that_took_it():
    items = [{"what": name, "before": "a@1", "after": "a@2"} for name in ("one", "two")]
    shown = as_changes([{"items": items, "more": 3}])
    assert shown.count("a@1") == 1
    assert "<div>one</div><div>two</div>" in shown
    assert "and 3 more" in shown
