"""The kubernetes library without what is not needed: as good as the whole, for us and for whoever imports it later."""

import base64
import json
import os
import subprocess
import sys
import time

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube import credentials
from written_kubeconfig import written_kubeconfig

FRESH = """
import sys
from ansible_collections.hsc.jit.plugins.module_utils._kube.credentials import library
types = lambda: any(one.__name__ == "V1Pod" for one in object.__subclasses__())
found = library(False)
print(types(), "requests" in sys.modules, found.Configuration.__name__, found.config.ConfigException.__name__)
import kubernetes.client, oauthlib.oauth2, requests_oauthlib
print(types(), kubernetes.client.CoreV1Api.__name__, requests_oauthlib.OAuth2Session.__name__, library(False) is found)
"""
BEFORE = """
import oauthlib.oauth2
from ansible_collections.hsc.jit.plugins.module_utils._kube.credentials import library
before = oauthlib.oauth2
library(False)
import oauthlib.oauth2
print(oauthlib.oauth2 is before)
"""
WHOLE = """
import sys
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
cluster = connect({"kubeconfig": sys.argv[1]})
kube_config = sys.modules["kubernetes.config.kube_config"]
print(cluster.authorize(), kube_config.ApiClient.__name__, kube_config.OAuth2Session.__name__)
"""


def fresh(code, *words):
    """The lines that a new Python prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_what_is_not_needed_is_not_imported_and_whoever_wants_it_has_it():
    assert fresh(FRESH) == ["False False Configuration ConfigException", "True CoreV1Api OAuth2Session True"]


def test_who_had_a_package_keeps_it():
    assert fresh(BEFORE) == ["True"]


def test_a_kubeconfig_with_an_auth_provider_gets_the_whole(tmp_path):
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + 3600}).encode()).decode().rstrip("=")
    token = f"e30.{claims}.c2ln"
    path = tmp_path / "config"
    written_kubeconfig(path, {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}, server="http://127.0.0.1:9")
    assert fresh(WHOLE, str(path)) == [f"{{'authorization': 'Bearer {token}'}} ApiClient OAuth2Session"]


@pytest.mark.parametrize("problem", [ImportError, AttributeError])
def test_a_version_that_is_laid_out_otherwise_is_imported_whole(monkeypatch, problem):
    def other():
        sys.modules["kubernetes"] = sys  # half done
        raise problem

    for name in [one for one in sys.modules if one.split(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(credentials, "_light", other)
    found = credentials.library.__wrapped__(False)
    assert found.config is sys.modules["kubernetes"].config and found.config.kube_config.ApiClient


def test_without_the_library_its_name_is_said(monkeypatch):
    monkeypatch.setattr(sys, "path", [])
    for name in [one for one in sys.modules if one.split(".")[0] == "kubernetes"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ImportError, match="kubernetes"):
        credentials.library.__wrapped__(False)
