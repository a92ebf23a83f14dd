# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The product's part of its image: code, and Python dependencies whose hashes the lock names."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
from pathlib import Path

from .debian import execute

CODE = ("app", "migrations", "ui", "static")
_PROGRAMS = {"gunicorn": "gunicorn.app.wsgiapp:run", "celery": "celery.__main__:main", "alembic": "alembic.config:main"}


def files(source: Path) -> list[Path]:
    """Every file of the product that goes into the image, sorted."""
    paths = [path for name in CODE for path in (source / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted(paths)


def key(source: Path) -> str:
    """Hash of the code's content."""
    digest = hashlib.sha256()
    for path in files(source):
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def locked(source: Path) -> str:
    return (source / "requirements.txt").read_text()


def dependencies(source: Path, root: Path, target: Path) -> None:
    """The locked dependencies for the Python in root, wheels only, every hash checked; byte code included."""
    uv = find_uv()
    if not uv:
        raise RuntimeError("uv is not installed beside the controller's Python. Run `make env`, or `pip install uv`.")
    print_it = "import sys, sysconfig; print(sys.executable, sysconfig.get_path('purelib'), '%d.%d.%d' % sys.version_info[:3])"
    program, packages, version = execute(["chroot", str(root), "python3", "-c", print_it]).split()
    place = target / packages.lstrip("/")
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--require-hashes", "--no-deps", "--only-binary=:all:"]
    platform_option = f"--python-platform={platform.machine()}-manylinux_2_36"
    lock = str(source / "requirements.txt")
    execute([*command, "--link-mode=copy", f"--python-version={version}", platform_option, "--target", str(place), "--requirement", lock])
    _forget_controller(place)
    programs = target / "usr/local/bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, entry in _PROGRAMS.items():
        module, function = entry.split(":")
        (programs / name).write_text(f"#!{program}\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n")
        (programs / name).chmod(0o755)
    compile_python(root, target)


def find_uv() -> str | None:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def _forget_controller(packages: Path) -> None:
    """Programs that uv wrote name the controller's Python, and RECORD has their hashes: another checkout would give another digest."""
    shutil.rmtree(packages / "bin", ignore_errors=True)
    (packages / ".lock").unlink(missing_ok=True)
    for record in packages.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith(("bin/", "../"))))


def code(source: Path, root: Path, target: Path) -> None:
    for path in files(source):
        place = target / "srv/app" / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        place.chmod(0o644)
    compile_python(root, target)


def compile_python(root: Path, layer: Path) -> None:
    """Byte code by the image's own Python, checked by nothing: the root filesystem is read-only, so it is never stale."""
    inside = root / "layer"
    shutil.rmtree(inside, ignore_errors=True)  # of a run that was killed here
    layer.rename(inside)
    try:
        mode = ["--invalidation-mode", "unchecked-hash", "-q", "-s", "/layer", "-p", "/"]
        execute(["chroot", str(root), "python3", "-m", "compileall", *mode, "/layer"])
    finally:
        inside.rename(layer)
