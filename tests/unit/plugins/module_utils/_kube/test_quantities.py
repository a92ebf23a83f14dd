"""Kubernetes' number formats."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.quantities import int_or_percent, parse_quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500m", 0.5), ("2", 2), (3, 3), (None, 0), ("", 0), ("1Gi", 2**30), ("128Mi", 2**27), ("1k", 1000), ("1.5G", 1.5e9),
        ("1e3", 1000), ("1E", 1e18), ("1E3", 1000), ("2Ei", 2**61), ("250000000n", 0.25), ("10u", 1e-5), (".5", 0.5), ("-1", -1),
    ],
)  # fmt: skip
def test_quantity_is_read_as_kubernetes_reads_it(text, expected):
    assert parse_quantity(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["10GB", "1 Gi", "lots", "1Ki2", "Gi", "1e"])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match="is not a Kubernetes quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("value", "total", "up", "down"), [("25%", 3, 1, 0), ("25%", 4, 1, 1), ("0%", 9, 0, 0), ("100%", 3, 3, 3), (2, 9, 2, 2), ("1", 9, 1, 1)]
)
def test_percentages_are_rounded_as_the_controllers_do(value, total, up, down):
    assert int_or_percent(value, total, round_up=True) == up
    assert int_or_percent(value, total, round_up=False) == down
