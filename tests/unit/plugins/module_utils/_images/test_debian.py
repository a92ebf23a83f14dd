from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images import debian
from ansible_collections.hsc.jit.plugins.module_utils._images.debian import _merge_usr, _settle, _sources, add, execute, fetch, resolve

SIMULATED = """Reading package lists...
Inst libjemalloc2 (5.3.0-1 Debian:12.5/stable [amd64])
Inst redis-tools (5:7.0.15-1~deb12u5 Debian-Security:12/stable-security [amd64])
Inst adduser (3.134 Debian:12.5/stable [all])
Inst base-files [12.4] (12.4+deb12u5 Debian:12.5/stable [amd64])
Conf libjemalloc2 (5.3.0-1 Debian:12.5/stable [amd64])
"""


def test_what_a_package_brings_is_named_with_its_version_and_without_what_nobody_needs(monkeypatch):
    asked = []
    monkeypatch.setattr(debian, "execute", lambda argv: asked.append(argv) or SIMULATED)
    found = resolve(Path("/base"), ["redis-server"])
    assert found == ["base-files=12.4+deb12u5", "libjemalloc2=5.3.0-1", "redis-tools=5:7.0.15-1~deb12u5"]
    assert "Dir::State::status=/base/var/lib/dpkg/status" in asked[0], "what the base has is not brought again"


def test_old_package_lists_are_renewed_once(monkeypatch, tmp_path):
    """The mirror no longer has the version that yesterday's lists name."""
    asked = []

    def answer(argv, cwd=None):
        asked.append(argv[1])
        if "download" in argv:
            if asked.count("-o") == 1:
                raise RuntimeError("404 Not Found")
            for item in argv[argv.index("download") + 1 :]:
                (cwd / f"{item.replace('=', '_').replace(':', '%3a')}_amd64.deb").write_text("deb")
        return SIMULATED

    monkeypatch.setattr(debian, "execute", answer)
    add(Path("/base"), ["redis-server"], tmp_path / "layer", tmp_path / "debs")
    assert asked[:5] == ["--simulate", "-o", "update", "--simulate", "-o"]
    assert asked.count("--extract") == asked.count("--field") == 3
    assert sorted(path.name for path in (tmp_path / "layer/var/lib/dpkg/status.d").iterdir()) == [
        "base-files",
        "libjemalloc2",
        "redis-tools",
    ]


def test_a_download_that_was_killed_leaves_no_half_package(monkeypatch, tmp_path):
    def killed(argv, cwd):
        (cwd / "redis-tools_7_amd64.deb").write_text("half")
        raise RuntimeError("killed")

    monkeypatch.setattr(debian, "execute", killed)
    with pytest.raises(RuntimeError):
        fetch(["redis-tools=7"], tmp_path)
    whole = []
    monkeypatch.setattr(debian, "execute", lambda argv, cwd: whole.append((cwd / "redis-tools_7_amd64.deb").write_text("whole")))
    assert [path.read_text() for path in fetch(["redis-tools=7"], tmp_path)] == ["whole"]
    assert [path.read_text() for path in fetch(["redis-tools=7"], tmp_path)] == ["whole"] and len(whole) == 1


def test_a_failing_command_says_which_and_why():
    with pytest.raises(RuntimeError, match=r"`false --now` ended with 1"):
        execute(["false", "--now"])


def test_folders_go_where_the_base_has_links(tmp_path):
    (tmp_path / "lib/x").mkdir(parents=True)
    (tmp_path / "lib/x/a.so").write_text("a")
    (tmp_path / "usr/lib/x").mkdir(parents=True)
    (tmp_path / "usr/lib/x/b.so").write_text("b")
    _merge_usr(tmp_path)
    assert sorted(path.name for path in (tmp_path / "usr/lib/x").iterdir()) == ["a.so", "b.so"]
    assert not (tmp_path / "lib").exists()


def test_a_settled_base_has_our_user_and_nothing_of_this_machine(tmp_path):
    for name in ("etc/apt/sources.list.d", "var/log", "var/cache/ldconfig", "usr/local/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("etc/passwd", "etc/group", "etc/resolv.conf", "etc/apt/sources.list.d/debian.sources", "var/log/dpkg.log"):
        (tmp_path / name).write_text("from here\n")
    _settle(tmp_path)
    assert (tmp_path / "etc/passwd").read_text().endswith("hsc:x:10001:10001:HSC-JIT:/tmp:/usr/sbin/nologin\n")
    assert [path for path in tmp_path.rglob("*") if path.name in ("resolv.conf", "debian.sources", "dpkg.log", "ldconfig")] == []


def test_sources_that_others_sign_are_left_out(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb ...")
    (tmp_path / "sources.list.d/debian.sources").write_text("Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg")
    (tmp_path / "sources.list.d/other.sources").write_text("Signed-By: /usr/share/keyrings/other.gpg")
    assert [Path(path).name for path in _sources(tmp_path)] == ["sources.list", "debian.sources"]
