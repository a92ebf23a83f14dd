"""Every linter with its own settings, whole; none of them may be told to look away."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BIN = Path(sys.executable).parent
PLUGINS = "ansible_collections.hsc.jit.plugins"


def run(root, *command, cwd=".", stdin=None):
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1", "ANSIBLE_CONFIG": str(root / "ansible.cfg")}
    return subprocess.run(command, cwd=root / cwd, env=environment, input=stdin, capture_output=True, text=True, check=False)


def lint(root, *command, cwd="."):
    result = run(root, *command, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff(root, command):
    lint(root, BIN / "ruff", *command.split(), ".")


def test_mypy_is_strict_on_all_plugins(root):
    lint(root, BIN / "mypy", "-p", PLUGINS)


def test_mypy_is_strict_on_the_service(root):
    lint(root, root / "service/.venv/bin/mypy", "app", cwd="service")


def test_yamllint(root):
    lint(root, BIN / "yamllint", "--strict", ".")


def test_ansible_lint_at_production_profile(root):
    lint(root, BIN / "ansible-lint", "--offline", "--profile", "production", "--strict", "-q")


PLAY = """---
- name: Look
  hosts: localhost
  tasks:
    - name: Run a shell
      shell: ls
"""


def test_each_linter_sees_an_error_that_is_planted(root, tmp_path):
    """A linter that looks at nothing also says that all is well."""
    finding = "plugins/module_utils/_finding.py"
    unused = run(root, BIN / "ruff", "check", "--stdin-filename", finding, "-", stdin="import os\n")
    assert (unused.returncode, "F401" in unused.stdout) == (1, True), unused.stdout
    assert run(root, BIN / "ruff", "format", "--check", "--stdin-filename", finding, "-", stdin="a=1\n").returncode == 1

    wrong = tmp_path / "wrong.py"
    for path, folder, program, what in [
        (f".collections/{PLUGINS.replace('.', '/')}/module_utils/_finding.py", ".", BIN / "mypy", ["-p", PLUGINS]),
        ("app/config.py", "service", root / "service/.venv/bin/mypy", ["app"]),
    ]:
        wrong.write_text((root / folder / path).read_text() + "\nplanted: int = 'text'\n")
        cache = tmp_path / f"mypy-{folder}"
        with contextlib.suppress(OSError):  # what is known of all other files takes 20 s to find out anew; mypy checks it
            shutil.copytree(root / folder / ".mypy_cache", cache)
        typed = run(root, program, "--cache-dir", cache, "--shadow-file", path, wrong, *what, cwd=folder)
        assert (typed.returncode, "Incompatible types in assignment" in typed.stdout) == (1, True), typed.stdout + typed.stderr

    assert run(root, BIN / "yamllint", "--strict", "-", stdin="---\na:   [1,2\n").returncode == 1
    (tmp_path / "play.yml").write_text(PLAY)
    shell = run(
        root, BIN / "ansible-lint", "--offline", "-c", root / ".ansible-lint", "--profile", "production", "-q", tmp_path / "play.yml"
    )
    assert (shell.returncode, "command-instead-of-shell" in shell.stdout) == (2, True), shell.stdout + shell.stderr


def test_nothing_is_skipped(root):
    settings = yaml.safe_load((root / ".ansible-lint").read_text())
    assert settings["skip_list"] == settings["warn_list"] == []
    playbooks = [*root.glob("roles/*/tasks/*.yml"), *root.glob("playbooks/*.yml")]
    assert playbooks
    assert [str(path) for path in playbooks if "noqa" in path.read_text()] == []
