import dataclasses
import json
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images import build
from ansible_collections.hsc.jit.plugins.module_utils._images.build import Workshop, built, ensure, problems
from ansible_collections.hsc.jit.plugins.module_utils._images.debian import execute
from ansible_collections.hsc.jit.plugins.module_utils._images.layer import Base, store
from ansible_collections.hsc.jit.plugins.module_utils._images.recipes import RECIPES

BASE = f"docker.io/library/python@sha256:{'a' * 64}"


class Shelf:
    """A registry in memory."""

    host = "localhost:5001"

    def __init__(self):
        self.kept = {}

    def has(self, name, digest):
        return (name, digest) in self.kept

    def push(self, name, manifest, blobs):
        self.kept[name, manifest.digest] = [blob.digest for blob in blobs]


@pytest.fixture
def workshop(tmp_path):
    for name in ("app", "files"):
        (tmp_path / name).mkdir()
    (tmp_path / "requirements.txt").write_text("flask==3.1.3 --hash=sha256:1\n")
    (tmp_path / "app/wiring.py").write_text("one")
    (tmp_path / "files/alertmanager").write_text("#!")
    (tmp_path / "files/postgres-entrypoint").write_text("#!")
    return Workshop(tmp_path / "cache", tmp_path, tmp_path / "files", "2026-11")


@pytest.fixture
def made(workshop, monkeypatch):
    """Base and packages without Debian; the list of what was made."""
    made = []

    def base(folder, blobs):
        (folder / "root/etc").mkdir(parents=True, exist_ok=True)
        (folder / "root/etc/os").write_text("debian")
        (folder / "layer.tar").write_text("base layer")
        return Base(folder / "root", (store(folder / "layer.tar", blobs),))

    def fill(part):
        def layer_of(source, root, layer):
            made.append(part)
            (layer / "flask-3.dist-info").mkdir()
            (layer / "flask-3.dist-info/METADATA").write_text("Name: flask\nVersion: 3.1.3\n")
            (layer / part).write_text((source / ("app/wiring.py" if part == "code" else "requirements.txt")).read_text())

        return layer_of

    monkeypatch.setattr(build.debian, "base", base)
    monkeypatch.setattr(build.debian, "add", lambda root, packages, layer, cache, suite: made.append(packages[0]))
    monkeypatch.setattr(build.debian, "prove", lambda root, layer, command: None)
    monkeypatch.setattr(build.service, "dependencies", fill("dependencies"))
    monkeypatch.setattr(build.service, "code", fill("code"))
    return made


def quiet(*arguments, **options):
    pass


def test_all_images_are_built_pushed_and_named_by_digest_and_then_nothing_is_done(workshop, made):
    shelf = Shelf()
    references, done = ensure(workshop, shelf, quiet)
    assert list(references) == list(RECIPES)
    assert {tuple(reference.split("/")[1].split("@")) for reference in references.values()} == set(shelf.kept)
    assert len(done) == 2 * len(RECIPES)
    made.clear()
    assert ensure(workshop, shelf, quiet) == (references, [])
    assert made == []


def test_a_change_of_the_code_makes_one_layer_of_one_image(workshop, made):
    shelf = Shelf()
    first, _ = ensure(workshop, shelf, quiet)
    made.clear()
    (workshop.source / "app/wiring.py").write_text("two")
    second, done = ensure(workshop, shelf, quiet)
    assert made == ["code"]
    assert done == ["built hsc-jit-service", "pushed hsc-jit-service"]
    assert [name for name in first if first[name] != second[name]] == ["service"]


def test_the_same_input_in_another_cache_gives_the_same_digests(workshop, made, tmp_path):
    first, _ = ensure(workshop, Shelf(), quiet)
    second, _ = ensure(dataclasses.replace(workshop, cache=tmp_path / "elsewhere"), Shelf(), quiet)
    assert first == second


def test_a_registry_that_lost_its_images_gets_them_again_without_a_build(workshop, made):
    first, _ = ensure(workshop, Shelf(), quiet)
    made.clear()
    second, done = ensure(workshop, Shelf(), quiet)
    assert (first, made) == (second, [])
    assert {line.split()[0] for line in done} == {"pushed"}


def test_a_blob_that_is_gone_is_made_again(workshop, made):
    ensure(workshop, Shelf(), quiet)
    record = built(workshop, "redis")
    (workshop.blobs / record["blobs"][-1].removeprefix("sha256:")).unlink()
    assert built(workshop, "redis") is None
    made.clear()
    assert "built hsc-jit-redis" in ensure(workshop, Shelf(), quiet)[1]
    assert made == ["redis-server"]


def test_settings_are_not_roots_and_an_sbom_lies_beside(workshop, made):
    ensure(workshop, Shelf(), quiet)
    for name in RECIPES:
        record = built(workshop, name)
        config = json.loads((workshop.blobs / record["blobs"][0].removeprefix("sha256:")).read_text())["config"]
        assert config["User"] == "10001:10001"
        assert config["Cmd"] and config["Entrypoint"] == []
        assert json.loads(Path(record["sbom"]).read_text())["metadata"]["component"]["version"] == record["manifest"]


def test_images_that_are_ready_are_not_built(workshop, made):
    ready = {"redis": f"docker.io/library/redis@sha256:{'b' * 64}"}
    references, done = ensure(dataclasses.replace(workshop, ready=ready), Shelf(), quiet)
    assert references["redis"] == ready["redis"]
    assert "redis-server" not in made
    assert "built hsc-jit-redis" not in done and "built hsc-jit-service" in done


def test_another_base_or_edition_is_another_input(workshop):
    other_base, other_edition = dataclasses.replace(workshop, base=BASE), dataclasses.replace(workshop, edition="2026-12")
    assert other_base.record("service") != workshop.record("service")
    assert other_base.record("redis") == workshop.record("redis"), "only the product stands on the given base"
    assert other_edition.record("redis") != workshop.record("redis")
    assert dataclasses.replace(other_base, edition="2026-12").record("service") == other_base.record("service")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base": "python:3.13-slim"}, "images_base is 'python:3.13-slim': name it by digest"),
        ({"ready": {"redis": "redis:7"}}, "images_ready.redis is 'redis:7': name it by digest"),
        ({"ready": {"rediss": BASE}}, "there is no such image; there are service, redis"),
        ({"source": "/nowhere"}, "images_source is /nowhere; it has no requirements.txt"),
    ],
)
def test_bad_input_is_refused_by_its_name(workshop, change, says):
    change = {name: type(getattr(workshop, name))(value) for name, value in change.items()}
    assert any(says in problem for problem in problems(dataclasses.replace(workshop, **change)))


def test_tools_are_asked_for_only_when_something_is_to_be_built(workshop, made, monkeypatch):
    monkeypatch.setattr(build.os, "geteuid", lambda: 1000)
    assert any("run as root" in problem for problem in problems(workshop))
    ensure(workshop, Shelf(), quiet)
    assert problems(workshop) == []


def test_a_proof_that_fails_leaves_nothing_recorded(workshop, made, monkeypatch):
    monkeypatch.setattr(build.debian, "prove", lambda root, layer, command: execute(["false"]))
    with pytest.raises(RuntimeError):
        ensure(workshop, Shelf(), quiet)
    assert built(workshop, "service") is None
