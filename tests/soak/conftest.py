"""Where the soak tests leave their figures."""

from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / ".cache/test"


@pytest.fixture
def results() -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    return RESULTS
