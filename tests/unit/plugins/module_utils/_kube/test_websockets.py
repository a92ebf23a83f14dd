"""The websockets library's modules import each other in a circle: threads that begin at different ones may end in a deadlock of imports."""

import re
from pathlib import Path

PLUGINS = Path(__file__).parents[5] / "plugins"
IMPORT = re.compile(r"""^\s*(from|import) websockets\b|\bimport_module\(["']websockets\b""", re.MULTILINE)


def test_the_library_is_imported_in_one_place_alone():
    assert {path.name for path in PLUGINS.rglob("*.py") if IMPORT.search(path.read_text())} == {"websockets.py"}
