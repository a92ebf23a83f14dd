import json
import os
import tarfile

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images.layer import Base, Blob, image, pack, store


def tree(folder, order, moment):
    """The same files, made in another order at another time."""
    folder.mkdir()
    for name in order:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
        os.utime(path, (moment, moment))
    (folder / "link").symlink_to("b/two")
    (folder / "b/one").chmod(0o4755)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    return folder


def packed(folder, target):
    pack(folder, target)
    return target.read_bytes()


def test_the_same_files_are_the_same_bytes_whenever_and_in_whatever_order_they_were_made(tmp_path):
    first = packed(tree(tmp_path / "a", ["a", "b/one", "b/two"], 1), tmp_path / "1.tar")
    assert first == packed(tree(tmp_path / "b", ["b/two", "b/one", "a"], 999999), tmp_path / "2.tar")
    (tmp_path / "b/a").write_text("something else")
    assert first != packed(tmp_path / "b", tmp_path / "3.tar")


def test_entries_are_sorted_roots_and_never_setuid(tmp_path):
    pack(tree(tmp_path / "a", ["a", "b/one", "b/two"], 1), tmp_path / "1.tar")
    os.mkfifo(tmp_path / "a/pipe")
    with tarfile.open(tmp_path / "1.tar") as tar:
        entries = {entry.name: entry for entry in tar}
    assert list(entries) == ["a", "b", "b/one", "b/two", "link", "tmp"]
    assert {(entry.uid, entry.gid, entry.uname) for entry in entries.values()} == {(0, 0, "")}
    assert oct(entries["b/one"].mode) == "0o755"
    assert oct(entries["tmp"].mode) == "0o1777"
    assert entries["link"].linkname == "b/two"


def test_pipes_and_devices_stay_out(tmp_path):
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a/pipe")
    pack(tmp_path / "a", tmp_path / "1.tar")
    with tarfile.open(tmp_path / "1.tar") as tar:
        assert tar.getnames() == []


def blob(tmp_path, text):
    (tmp_path / "new").write_text(text)
    return store(tmp_path / "new", tmp_path / "blobs")


def test_the_manifest_names_configuration_and_layers_by_digest(tmp_path):
    ours, foreign = (
        blob(tmp_path, "layer"),
        Blob("sha256:zipped", 5, tmp_path / "x", "application/vnd.oci.image.layer.v1.tar+gzip", "sha256:plain"),
    )
    manifest, config = image([foreign, ours], {"User": "10001:10001"}, "amd64", tmp_path / "blobs")
    content = json.loads(manifest.path.read_text())
    assert content["config"] == {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest, "size": config.size}
    assert [(layer["digest"], layer["mediaType"].rpartition(".")[2]) for layer in content["layers"]] == [
        ("sha256:zipped", "tar+gzip"),
        (ours.digest, "tar"),
    ]
    settings = json.loads(config.path.read_text())
    assert settings["rootfs"]["diff_ids"] == ["sha256:plain", ours.digest]
    assert settings["config"]["User"] == "10001:10001"
    assert (manifest.digest, manifest.size) == (f"sha256:{manifest.path.name}", manifest.path.stat().st_size)
    assert image([foreign, ours], {"User": "10001:10001"}, "amd64", tmp_path / "blobs")[0] == manifest


@pytest.mark.parametrize("lost", [True, False])
def test_a_base_is_known_again_unless_a_blob_is_gone(tmp_path, lost):
    layer = blob(tmp_path, "layer")
    Base(tmp_path / "root", (layer,), {"PYTHON_VERSION": "3.13.1"}).save(tmp_path / "base.json")
    if lost:
        layer.path.unlink()
    known = Base.load(tmp_path / "base.json", tmp_path / "root", tmp_path / "blobs")
    assert known == (None if lost else Base(tmp_path / "root", (layer,), {"PYTHON_VERSION": "3.13.1"}))
    assert Base.load(tmp_path / "nothing.json", tmp_path, tmp_path) is None
