"""Every linter with its own settings, whole; none of them may be told to look away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BIN = Path(sys.executable).parent
MODULE_UTILS = ".collections/ansible_collections/hsc/jit/plugins/module_utils"


def lint(root, *command, cwd="."):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", "ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    result = subprocess.run(command, cwd=root / cwd, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff(root, command):
    lint(root, BIN / "ruff", *command.split(), ".")


def test_mypy_is_strict_on_the_logic(root):
    lint(root, BIN / "mypy", *[f"{MODULE_UTILS}/{path.name}" for path in sorted((root / "plugins/module_utils").glob("_*.py"))])


def test_mypy_is_strict_on_the_service(root):
    lint(root, root / "service/.venv/bin/mypy", "app", cwd="service")


def test_yamllint(root):
    lint(root, BIN / "yamllint", "--strict", ".")


def test_ansible_lint_at_production_profile(root):
    lint(root, BIN / "ansible-lint", "--offline", "--profile", "production", "--strict", "-q")


def test_nothing_is_skipped(root):
    settings = yaml.safe_load((root / ".ansible-lint").read_text())
    assert settings["skip_list"] == settings["warn_list"] == []
    playbooks = [*root.glob("roles/*/tasks/*.yml"), *root.glob("playbooks/*.yml")]
    assert playbooks
    assert [str(path) for path in playbooks if "noqa" in path.read_text()] == []
