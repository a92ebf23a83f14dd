"""A role's contract stands once: defaults/main.yml has the values, meta/argument_specs.yml types and meaning."""

from pathlib import Path

import pytest
import yaml

ROLES = sorted(path.name for path in (Path(__file__).parents[2] / "roles").iterdir() if path.is_dir())


def load(path):
    return yaml.safe_load(path.read_text()) or {} if path.exists() else {}


WITH_OPTIONS = [role for role in ROLES if role != "release"]  # its defaults are the settings of all roles; _settings/rules has their types


@pytest.mark.parametrize("role", WITH_OPTIONS)
def test_specification_and_defaults_agree(root, role):
    defaults = load(root / "roles" / role / "defaults/main.yml")
    specification = load(root / "roles" / role / "meta/argument_specs.yml")["argument_specs"]["main"]
    options = specification.get("options") or {}
    assert specification["short_description"]
    assert all(option.get("description") for option in options.values())
    assert {name: option["default"] for name, option in options.items() if "default" in option} == defaults
    required = {name for name, option in options.items() if option.get("required")}
    assert not required & set(defaults)


@pytest.mark.parametrize("role", WITH_OPTIONS)
def test_variables_carry_the_roles_name_and_are_few(root, role):
    defaults = load(root / "roles" / role / "defaults/main.yml")
    assert [name for name in defaults if not name.startswith((f"{role}_", f"__{role}_"))] == []
    assert len(defaults) <= 15


@pytest.mark.parametrize("role", ROLES)
def test_a_role_runs_no_shell(root, role):
    text = "\n".join(path.read_text() for path in (root / "roles" / role).rglob("*.yml"))
    assert "ansible.builtin.shell" not in text
    assert "ignore_errors" not in text


def steps(tasks):
    """(role, tasks_from) of each include, in their order, blocks opened."""
    for task in tasks:
        include = task.get("ansible.builtin.include_role")
        if include:
            yield include["name"].rpartition(".")[2], include.get("tasks_from", "main")
        yield from steps(task.get("block", []))


def test_the_change_window_is_checked_again_before_what_cannot_be_taken_back(root):
    """A run that began in time may come there too late."""
    (_, play) = load(root / "playbooks/deploy.yml")
    found = list(steps(play["tasks"]))
    for phase in [("rollout", "data_stores"), ("rollout", "main")]:
        before = found[: found.index(phase)]
        assert ("preflight", "window") in before[before.index(("rollout", "plan")) :], phase
    assert found.index(("preflight", "window")) < found.index(("images", "main"))


@pytest.mark.parametrize("book", ["rollback", "restore"])
def test_a_way_back_is_open_at_any_hour(root, book):
    assert "tasks_from: window" not in (root / f"playbooks/{book}.yml").read_text()
