"""An inventory with a mistake is refused before anything happens, by every playbook; those of this repository have none."""

import pytest
import yaml
from ansible_collections.hsc.jit.plugins.action.settings_check import known
from ansible_collections.hsc.jit.plugins.module_utils import _settings
from playbook import ROOT, play


def test_what_is_looked_at_are_settings_that_there_are():
    assert known(ROOT) >= _settings.LOOKED_AT


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
