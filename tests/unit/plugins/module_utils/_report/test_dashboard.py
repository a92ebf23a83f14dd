import json

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._report import dashboard
from ansible_collections.hsc.jit.plugins.module_utils._report.dashboard import Panel

BEGIN, END = 1_790_000_000.0, 1_790_003_600.0


def answer(*series):
    return {"data": {"result": [{"metric": metric, "values": values} for metric, values in series]}}


def test_panels_are_grafanas():
    document = {
        "title": "HSC-JIT Overview",
        "panels": [{"title": "Errors", "targets": [{"expr": "up"}], "fieldConfig": {"defaults": {"unit": "percentunit"}}}],
    }
    assert dashboard.panels(json.dumps(document)) == ("HSC-JIT Overview", [Panel("Errors", "up", "percentunit")])


def test_series_are_named_by_their_labels_highest_first_and_without_what_is_no_number():
    low, high = {"__name__": "x", "job": "a"}, {"job": "b", "pod": "b-1"}
    found = dashboard.lines(answer((low, [[1, "1"], [2, "NaN"]]), (high, [[1, "5"], [2, "7"]]), ({}, [[1, "+Inf"]])))
    assert [(line.name, line.points) for line in found] == [("b, b-1", {1.0: 5.0, 2.0: 7.0}), ("a", {1.0: 1.0}), ("", {})]


def test_a_page_holds_every_panel_and_escapes_what_series_are_called():
    series = dashboard.lines(answer(({"job": "<script>"}, [[BEGIN, "0"], [END, "0.5"]])))
    page = dashboard.as_page("Overview", [(Panel("Latency", "q", "s"), series), (Panel("Nothing", "q", "s"), [])], BEGIN, END)
    assert "<h2>Latency</h2>" in page
    assert "500 ms" in page
    assert "No value in this time." in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_many_series_are_cut_and_the_rest_is_counted():
    series = dashboard.lines(answer(*[({"n": str(n)}, [[BEGIN, str(n)]]) for n in range(11)]))
    page = dashboard.as_page("Overview", [(Panel("Many", "q", "short"), series)], BEGIN, END)
    assert page.count("<polyline") == 8
    assert "and 3 more" in page


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0125, "s", "12.5 ms"),
        (2.0, "s", "2 s"),
        (1536, "bytes", "1.5 KiB"),
        (53_687_091_200, "bytes", "50 GiB"),
        (0.031, "percentunit", "3.1 %"),
        (12.34, "reqps", "12.3/s"),
        (12345, "short", "12,345"),
    ],
)
def test_values_are_written_as_people_read_them(value, unit, words):
    assert dashboard.shown(value, unit) == words
