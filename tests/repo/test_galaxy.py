"""The collection as somebody gets it who has no checkout: built, installed, and used by its name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.hsc.jit.plugins.module_utils._images.recipes import RECIPES

BIN = Path(sys.executable).parent
INVENTORY = "all: {children: {release: {hosts: {shop: {ansible_connection: local, release_url: 'http://127.0.0.1:9'}}}}}\n"


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """Runs a playbook of the installed collection, far from the checkout."""
    folder = tmp_path_factory.mktemp("galaxy")
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"), "ANSIBLE_NOCOLOR": "1", "HOME": str(folder)}
    environment.pop("ANSIBLE_CONFIG", None)

    def galaxy(*argv):
        done = subprocess.run(
            [BIN / "ansible-galaxy", "collection", *argv], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    galaxy("build", "--output-path", folder)
    (archive,) = folder.glob("hsc-jit-*.tar.gz")
    galaxy("install", archive, "--offline", "-p", folder / "collections")
    (folder / "hosts.yml").write_text(INVENTORY)

    def play(name, **values):
        extra = json.dumps({"ansible_python_interpreter": sys.executable, **values})
        command = [BIN / "ansible-playbook", "-i", "hosts.yml", f"hsc.jit.{name}", "-e", extra]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    play.folder, play.archive = folder, archive
    return play


def test_what_is_built_is_small_and_holds_no_environment_and_no_evidence(installed):
    assert installed.archive.stat().st_size < 3_000_000
    top = {path.name for path in (installed.folder / "collections/ansible_collections/hsc/jit").iterdir()}
    assert {"plugins", "roles", "playbooks", "meta"} <= top
    assert not top & {".venv", ".cache", ".collections", ".mypy_cache", ".ruff_cache", ".pytest_cache", "evidence", "tests"}


def test_an_installed_collection_renders_the_manifests(installed, tmp_path):
    images = {name: f"registry.example/{name}@sha256:{'0' * 64}" for name in RECIPES}
    done = installed("render", release_images=images, rollout_output_dir=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = {obj["kind"] for obj in yaml.safe_load_all((tmp_path / "backend-deployment.yaml").read_text())}
    assert {"Deployment", "StatefulSet", "HorizontalPodAutoscaler"} <= kinds


def test_without_images_it_says_which_setting_is_missing_and_builds_nothing(installed, tmp_path):
    done = installed("render", rollout_output_dir=str(tmp_path))
    assert done.returncode != 0
    assert "release_images: set each image by digest" in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
