"""The kubernetes library without its types: as good as the whole, for us and for whoever imports it later."""

import os
import subprocess
import sys

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _kubernetes_library

FRESH = """
from ansible_collections.hsc.jit.plugins.module_utils._kubernetes_library import library
types = lambda: any(one.__name__ == "V1Pod" for one in object.__subclasses__())
found = library()
print(types(), found.Configuration.__name__, found.rest.RESTClientObject.__name__, found.config.ConfigException.__name__)
import kubernetes.client
print(types(), kubernetes.client.CoreV1Api.__name__, library() is found)
"""


def test_types_are_not_imported_and_whoever_wants_them_has_them():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", FRESH], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["False Configuration RESTClientObject ConfigException", "True CoreV1Api True"]


@pytest.mark.parametrize("problem", [ImportError, AttributeError])
def test_a_version_that_is_laid_out_otherwise_is_imported_whole(monkeypatch, problem):
    def other():
        sys.modules["kubernetes"] = sys  # half done
        raise problem

    for name in [one for one in sys.modules if one.split(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(_kubernetes_library, "_without_types", other)
    found = _kubernetes_library.library.__wrapped__()
    assert found.rest is sys.modules["kubernetes"].client.rest and found.config is sys.modules["kubernetes"].config


def test_without_the_library_its_name_is_said(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    for name in [one for one in sys.modules if one.split(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="kubernetes"):
        _kubernetes_library.library.__wrapped__()
