# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Debian as a base and as a source of programs, without an image registry and without running maintainer scripts in a layer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .layer import Base, pack, store
from .recipes import BASE_PACKAGES, NOT_NEEDED, SUITE, USER

_EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def execute(argv: Sequence[str], cwd: Path | None = None) -> str:
    """stdout; RuntimeError has the command and the end of what it said."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"`{' '.join(argv)[:200]}` ended with {result.returncode}: {(result.stderr or result.stdout).strip()[-1000:]}")
    return result.stdout


def ensure_mmdebstrap() -> bool:
    if shutil.which("mmdebstrap"):
        return False
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=120", "install", "--yes", "--no-install-recommends", "mmdebstrap"]
    try:
        execute(install)
    except RuntimeError:
        execute(["apt-get", "update"])
        execute(install)
    return True


def base(folder: Path, blobs: Path) -> Base:
    """A small Debian below folder, made once, with a user for our processes; one layer."""
    root, record = folder / "root", folder / "base.json"
    known = Base.load(record, root, blobs)
    if known:
        return known
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ensure_mmdebstrap()
    archive = folder / "base.tar"
    excluded = [f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED]
    include = f"--include={','.join(BASE_PACKAGES)}"
    execute(["mmdebstrap", "--variant=essential", include, *excluded, SUITE, str(archive), *_sources(Path("/etc/apt"))])
    root.mkdir()
    execute(["tar", "--extract", "--file", str(archive), "--directory", str(root), "--exclude=./dev/*"])
    archive.unlink()
    _settle(root)
    pack(root, folder / "layer.tar")
    made = Base(root, (store(folder / "layer.tar", blobs),))
    made.save(record)
    return made


def _sources(folder: Path) -> list[str]:
    """This machine's apt sources, but for those that other keys sign: they are not Debian's."""
    found = [path for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*.sources"))] if path.exists()]
    texts = {path: path.read_text() for path in found}
    return [str(path) for path, text in texts.items() if "Signed-By" not in text or "debian-archive" in text]


def _settle(root: Path) -> None:
    """Logs and caches out, so that two builds are equal; our user in, because initdb and getpwuid want one."""
    for name in ("var/log", "var/cache", "etc/apt", "var/lib/apt"):
        shutil.rmtree(root / name, ignore_errors=True)
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("etc/machine-id", "etc/hostname", "etc/resolv.conf"):
        (root / name).unlink(missing_ok=True)
    with (root / "etc/passwd").open("a") as file:
        file.write(f"hsc:x:{USER}:{USER}:HSC-JIT:/tmp:/usr/sbin/nologin\n")
    with (root / "etc/group").open("a") as file:
        file.write(f"hsc:x:{USER}:\n")
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def prove(root: Path, layer: Path, command: Sequence[str]) -> None:
    """Run a program over base and layer together: a library that is missing is seen now, not in a crash loop."""
    both = layer.parent / "both"
    for source in (root, layer):
        execute(["cp", "--archive", "--link", "--remove-destination", "--no-target-directory", str(source), str(both)])
    execute(["chroot", f"--userspec={USER}:{USER}", str(both), *command])
    shutil.rmtree(both)


def add(root: Path, packages: Sequence[str], target: Path, cache: Path, suite: str = SUITE) -> None:
    """What the packages bring over the base into target; old package lists are renewed once."""
    if not packages:
        return
    options = _of_suite(suite, cache / suite)
    try:
        archives = fetch(resolve(root, packages, options), cache, options)
    except RuntimeError:
        execute(["apt-get", *options, "update"])
        archives = fetch(resolve(root, packages, options), cache, options)
    extract(archives, target)


def _of_suite(suite: str, folder: Path) -> list[str]:
    """apt-get's options for packages of another Debian than the base's: this machine's sources with its name, lists of their own."""
    if suite == SUITE:
        return []
    sources = folder / "sources"
    for place in (sources, folder / "lists/partial", folder / "cache/archives/partial"):
        place.mkdir(parents=True, exist_ok=True)
    for path in map(Path, _sources(Path("/etc/apt"))):
        (sources / path.name).write_text(re.sub(rf"\b{SUITE}\b", suite, path.read_text()))
    places = {"Etc::SourceList": "/dev/null", "Etc::SourceParts": sources, "State::Lists": folder / "lists", "Cache": folder / "cache"}
    return [word for name, place in places.items() for word in ("-o", f"Dir::{name}={place}")]


def resolve(root: Path, packages: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """``name=version`` of what the packages bring over the base, without what no program here needs."""
    looking = ["--simulate", "--no-install-recommends", "-o", f"Dir::State::status={root}/var/lib/dpkg/status", "-o", "Debug::NoLocking=1"]
    output = execute(["apt-get", *options, *looking, "install", *packages])
    found = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", output, re.MULTILINE)
    # Another Debian's libraries must not lie over the base's; ``prove`` shows whether the program runs without them.
    return sorted(f"{name}={version}" for name, version in found if name not in NOT_NEEDED and (name in packages or not options))


def fetch(versions: Sequence[str], cache: Path, options: Sequence[str] = ()) -> list[Path]:
    """The packages' archives; apt checks their hashes. Each appears in the cache whole or not at all."""
    missing = [item for item in versions if not _archives(cache, item)]
    partial = cache / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if missing:
        execute(["apt-get", *options, "-o", "APT::Sandbox::User=root", "download", *missing], cwd=partial)
    for path in partial.iterdir():
        path.rename(cache / path.name)
    return [_archives(cache, item)[0] for item in versions]


def extract(archives: Sequence[Path], target: Path) -> None:
    """The packages' files into target; what dpkg knows of them goes to var/lib/dpkg/status.d, where scanners look."""
    for archive in archives:
        execute(["dpkg-deb", "--extract", str(archive), str(target)])
        record = target / "var/lib/dpkg/status.d" / archive.name.split("_")[0]
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(execute(["dpkg-deb", "--field", str(archive)]))
    for name in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "etc/init.d", "lib/systemd", "usr/lib/systemd"):
        shutil.rmtree(target / name, ignore_errors=True)
    _merge_usr(target)


def _archives(cache: Path, item: str) -> list[Path]:
    name, version = item.split("=")
    return list(cache.glob(f"{name}_{version.replace(':', '%3a')}_*.deb"))


def _merge_usr(target: Path) -> None:
    """The base's /bin and /lib are links into /usr; a layer that has folders there would replace the links."""
    for name in ("bin", "sbin", "lib", "lib64"):
        folder = target / name
        if folder.is_dir() and not folder.is_symlink():
            shutil.copytree(folder, target / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder)
