"""Which file of module_utils may import which: the layers of docs/ARCHITECTURE.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
UTILS = ROOT / "plugins/module_utils"
# These judge data that was already read. They can be tested with plain dicts.
PURE = {
    "_canary.sequential",
    "_readiness.controllers",
    "_readiness.events",
    "_readiness.pods",
    "_readiness.probes",
    "_readiness.readiness",
    "_release.decision",
    "_release.desired",
    "_release.plan",
    "_release.record",
    "_release.refusals",
    "_release.rollback_policy",
    "_release.secret_readers",
    "_release.takeover",
}
PURE_KUBE = {"_kube.objects", "_kube.kinds", "_kube.managed_fields", "_kube.quantities"}
WITH_IO = {"http", "os", "pathlib", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib"}
KUBE_MAY_IMPORT = {"_errors", "_finding", "_poll", "_progress"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(UTILS).with_suffix("").parts)


MODULES = {module_name(path): ast.parse(path.read_text()) for path in sorted(UTILS.rglob("*.py")) if path.name != "__init__.py"}


def imports_of(module: str, tree: ast.Module) -> Iterator[str]:
    """Names of the imported files of module_utils, wherever in the file the import is; an import of types alone counts too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = module.split(".")[: -node.level] if node.level <= module.count(".") + 1 else []
            base = ".".join([*package, *filter(None, [node.module])])
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                yield name if name in MODULES else base


IMPORTS = {module: sorted(set(imports_of(module, tree))) for module, tree in MODULES.items()}


def reachable(start: str, imports: dict[str, list[str]]) -> set[str]:
    reached, todo = set(), [start]
    while todo:
        for name in imports[todo.pop()]:
            if name not in reached:
                reached.add(name)
                todo.append(name)
    return reached


def standard_library(tree: ast.Module) -> set[str]:
    """First parts of the names of all absolute imports."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in names}


def test_every_import_is_resolved():
    assert {name for names in IMPORTS.values() for name in names} <= MODULES.keys()
    assert IMPORTS["_readiness.waiter"], "else this file tests nothing"


def test_no_import_cycles():
    assert [module for module in MODULES if module in reachable(module, IMPORTS)] == []


def test_no_cycles_between_packages():
    packages: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        own = module.split(".")[0]
        packages.setdefault(own, set()).update(name.split(".")[0] for name in names)
    between = {package: sorted(names - {package}) for package, names in packages.items()}
    assert [package for package in between if package in reachable(package, between)] == []


def test_pure_modules_import_only_pure_modules():
    allowed = PURE | PURE_KUBE | {"_errors", "_finding", "_product"}
    assert {module: extra for module in PURE | PURE_KUBE if (extra := sorted(set(IMPORTS[module]) - allowed))} == {}


def test_pure_modules_do_no_io():
    for module in PURE | PURE_KUBE:
        assert standard_library(MODULES[module]) & WITH_IO == set(), module


def test_the_kubernetes_package_knows_nothing_of_the_product():
    for module in (name for name in MODULES if name.startswith("_kube.")):
        outside = {name for name in IMPORTS[module] if not name.startswith("_kube.")}
        assert outside <= KUBE_MAY_IMPORT, module
        assert "hsc-jit" not in (UTILS / f"{module.replace('.', '/')}.py").read_text(), module


def test_packages_have_an_empty_init():
    packages = {path.parent for path in UTILS.rglob("*.py")} - {UTILS}
    assert [str(path) for path in packages if (path / "__init__.py").read_text()] == []
