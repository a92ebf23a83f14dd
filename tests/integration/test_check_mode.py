"""`deploy.yml --check` where nothing exists yet: it says what would come, and sends no request that changes anything.

From a folder whose name is not ASCII; in a locale without UTF-8 it ends with one sentence.
"""

import subprocess

import pytest
from counting_proxy import counting
from playbook import ROOT, command, environment
from written_kubeconfig import written_kubeconfig

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
VALUE = "Ñ 日本 🎛"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """The checkout in another folder; what it was made of stays where it is."""
    folder = tmp_path_factory.mktemp("проект é") / "hsc"
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    for name in filter(None, files.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
        target.chmod((ROOT / name).stat().st_mode)
    (folder / ".collections/ansible_collections/hsc").mkdir(parents=True)
    (folder / ".collections/ansible_collections/hsc/jit").symlink_to("../../..")
    return folder


def check(folder, address, locale, **values):
    config = folder.parent / "config"
    written_kubeconfig(config, {}, server=address)  # the proxy has the credentials
    told = {"release_evidence_dir": str(folder / "evidence é"), **values}
    return subprocess.run(
        command("deploy.yml", "--check", "--diff", **told),
        cwd=folder,
        env={**environment(str(config)), "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "LC_ALL": locale},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


def test_nothing_is_changed_where_nothing_exists(kubeconfig, product, images, elsewhere):
    settings = {"release_namespace": "test-empty-check", "release_images": images, "release_node_ports": {}, "release_name": VALUE}
    with counting(kubeconfig) as (address, _, writes):
        done = check(elsewhere, address, "C.UTF-8", **settings)
    said = done.stdout.decode()
    assert done.returncode == 0, said[-4000:]
    assert writes == []
    assert product.find("/api/v1/namespaces/test-empty-check") is None
    assert "test-empty-check" in said
    journals = list((elsewhere / "evidence é").glob("*/journal.jsonl"))
    assert len(journals) == 1


def test_a_locale_without_utf_8_is_one_sentence(elsewhere):
    done = check(elsewhere, "http://127.0.0.1:1", "C")
    assert done.returncode != 0
    said = (done.stdout + done.stderr).decode().strip()
    assert "UTF-8" in said
    assert len(said.splitlines()) == 1, said
