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
    *first, whole = yaml.safe_load(path.read_text())
    if whole["hosts"] == "release" and path.stem != "local_cluster":
        assert whole["roles"] == [{"role": "hsc.jit.release"}]
        assert first[0]["ansible.builtin.import_playbook"] == "inventory.yml"


LEVELS = {
    "group in hosts.yml": ("hosts.yml", {"release": {"hosts": {"here": None}, "vars": {"release_namespace": "chosen"}}}),
    "group_vars/all": ("group_vars/all.yml", {"release_namespace": "chosen"}),
    "group_vars of the group": ("group_vars/release.yml", {"release_namespace": "chosen"}),
    "host_vars": ("host_vars/here.yml", {"release_namespace": "chosen"}),
}


@pytest.mark.parametrize("level", [*LEVELS, "-e"])
def test_a_setting_counts_wherever_the_inventory_says_it(tmp_path, level):
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "hosts.yml").write_text(yaml.safe_dump({"release": {"hosts": {"here": None}}}))
    more = {"release_namespace": "chosen"} if level == "-e" else {}
    if not more:
        name, values = LEVELS[level]
        (inventory / name).parent.mkdir(exist_ok=True)
        (inventory / name).write_text(yaml.safe_dump(values))
    book = tmp_path / "book.yml"
    task = {"ansible.builtin.debug": {"msg": "namespace is {{ release_namespace }}"}}
    given = {"release_url": "http://x", "release_images": {}}
    book.write_text(yaml.safe_dump([{"hosts": "release", "gather_facts": False, "roles": ["hsc.jit.release"], "tasks": [task]}]))
    done = play(str(book), inventory=str(inventory), **given, **more)
    assert "namespace is chosen" in done.stdout, done.stdout[-1500:]


@pytest.mark.parametrize("book", ["deploy", "preflight", "drift", "backup", "audit"])
def test_an_inventory_without_the_group_is_an_error(tmp_path, book):
    (tmp_path / "hosts.yml").write_text("production:\n  hosts: {somewhere: }\n")
    done = play(f"playbooks/{book}.yml", inventory=str(tmp_path))
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert 'no host in the group "release"' in said and "Its groups are production." in said


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


SECRETS = """
release_secret_values:
  redis-url: "redis://:{{ vault_redis }}@hsc-jit-redis:6379/0"
  gemini-key: %s
vault_redis: "pw"
"""


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("'a{{7*7}}#$:/@%41'", True),
        ("'a{%x%}b'", True),
        ("'{{ mistyped_variable }}'", True),
        ("!unsafe 'a{{7*7}}{%x%}'", False),
        ("'{{ vault_redis }}'", False),
        ("'plain'", False),
    ],
)
def test_a_secret_that_looks_like_a_template_is_refused_by_its_key(tmp_path, value, refused):
    (tmp_path / "secrets.yml").write_text(SECRETS % value)
    flags = ("-e", f"@{tmp_path}/secrets.yml", "--check")
    done = play("playbooks/render.yml", *flags, inventory="inventories/production", rollout_output_dir=str(tmp_path))
    assert (done.returncode != 0) == refused, done.stdout[-1500:]
    assert ("release_secret_values.gemini-key" in done.stdout and "!unsafe" in done.stdout) == refused
    assert "7*7" not in done.stdout and "mistyped" not in done.stdout


def test_an_evidence_folder_that_cannot_be_written_is_named_before_anything_else(tmp_path):
    (tmp_path / "file").write_text("")
    done = play("playbooks/backup.yml", release_evidence_dir=f"{tmp_path}/file/evidence")
    said = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert f"release_evidence_dir is {tmp_path}/file/evidence: {tmp_path}/file is not writable" in said, done.stdout
