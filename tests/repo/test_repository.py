"""What must never come into this repository, and sizes to notice with."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRACKED = [
    ROOT / name for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
]
PYTHON = [path for path in TRACKED if path.suffix == ".py" and path.exists()]
TEXT = [path for path in TRACKED if path.exists() and path.suffix in {".py", ".yml", ".md", ".go", ".toml", ".txt", ".cfg", ".j2", ""}]
TOP = {
    "playbooks", "roles", "inventories", "kubernetes", "plugins", "service", "molecule", "tests", "docs", "meta", "changelogs",
    "requirements", ".ci", ".config", ".github",
}  # fmt: skip


def test_the_top_level_holds_what_the_design_names():
    folders = {path.relative_to(ROOT).parts[0] for path in TRACKED if len(path.relative_to(ROOT).parts) > 1}
    assert folders <= TOP


def test_no_file_is_called_after_nothing():
    vague = re.compile(r"(common|utils2|helpers?|manager|misc)")
    assert [str(path) for path in TRACKED if vague.fullmatch(path.stem.strip("_"))] == []


@pytest.mark.parametrize("pattern", [r"--index-url", r"--find-links", r"/root/", r"/opt/wheels"])
def test_no_registry_and_no_path_of_one_machine(pattern):
    here = Path(__file__)
    assert [str(path) for path in TEXT if path != here and re.search(pattern, path.read_text(errors="replace"))] == []


def test_module_utils_stay_readable():
    files = [path for path in PYTHON if path.is_relative_to(ROOT / "plugins/module_utils")]
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def test_functions_stay_readable():
    """50 lines, docstring included; a longer one is doing two things."""
    long = []
    for path in (path for path in PYTHON if "tests" not in path.parts and path.parts[len(ROOT.parts)] in {"plugins", "service"}):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno > 50:
                long.append(f"{path.name}: {node.name}")
    assert long == []


def test_modules_document_themselves(root):
    for path in (root / "plugins/modules").glob("*.py"):
        names = {target.id for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign) for target in node.targets}
        assert {"DOCUMENTATION", "EXAMPLES", "RETURN"} <= names, path.name


def test_every_module_with_options_is_in_an_action_group(root):
    import yaml

    groups = yaml.safe_load((root / "meta/runtime.yml").read_text())["action_groups"]
    modules = {path.stem for path in (root / "plugins/modules").glob("*.py")} - {"settings_check"}
    assert modules == {name for group in groups.values() for name in group}


# These sleep for another reason than to wait for a state: requests at fixed times, a renewal interval, following a file.
SLEEPERS = {"_canary/traffic.py", "_lease/lease.py", "_lease/renewer.py", "_verify/load_generator.py", "_poll.py", "_follow.py"}


def test_polling_loops_use_poll():
    """A hand-written loop forgets its deadline, or its test's clock."""
    hand_written = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON
        if path.is_relative_to(ROOT / "plugins") and not str(path).endswith(tuple(SLEEPERS))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and "sleep" in (getattr(node.func, "attr", ""), getattr(node.func, "id", ""))
    ]
    assert hand_written == []
