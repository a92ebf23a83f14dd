"""An inventory with a mistake is refused before anything happens, by every playbook; those of this repository have none."""

import re

import pytest
import yaml
from ansible_collections.hsc.jit.plugins.action.settings_check import known
from ansible_collections.hsc.jit.plugins.module_utils._settings import rules
from playbook import ROOT, play


def test_what_is_looked_at_are_settings_that_there_are():
    assert known(ROOT) >= rules.LOOKED_AT


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_every_playbook_that_knows_a_release_looks_first(path):
    (whole,) = yaml.safe_load(path.read_text())
    if whole["hosts"] == "release" and path.stem != "local_cluster":
        assert "hsc.jit.settings_check" in whole["tasks"][0]


def test_all_mistakes_are_named_at_once_and_nothing_is_written(tmp_path):
    mistakes = {"release_replica": 3, "release_grafana": "maybe", "rollout_schedules": {"backup": "0 2 * * *"}}
    done = play("playbooks/render.yml", inventory="inventories/production", rollout_output_dir=str(tmp_path), **mistakes)
    assert done.returncode != 0
    for said in (
        "release_replica is no setting; did you mean release_replicas?",
        "release_grafana is 'maybe': write true or false.",
        "rollout_schedules lacks cleanup, optimise, restore_drill",
    ):
        assert said in done.stdout
    assert list(tmp_path.iterdir()) == []


DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "playbooks").glob("*.yml")]


def test_what_the_documents_give_with_e_is_known():
    """A command that an operator copies at night must not be refused for its own variable."""
    given = {(path.name, name) for path in DOCUMENTS for name in re.findall(r"-e [\"']?([a-z_]+)=", path.read_text())}
    ours = {(path, name) for path, name in given if name.startswith(rules.PREFIXES)}
    assert len(ours) > 5
    assert [one for one in ours if one[1] not in known(ROOT)] == []


def test_what_a_survey_sends_as_text_is_taken_for_what_it_means(tmp_path):
    values = {"release_to": "", "release_grafana": "false", "release_force_conflicts": "no", "release_local_cluster": "false"}
    done = play("playbooks/render.yml", "--check", inventory="inventories/production", rollout_output_dir=str(tmp_path), **values)
    assert done.returncode == 0, done.stdout[-2000:]
