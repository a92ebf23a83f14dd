"""A real cluster and the product in it: the local one (`make deploy`), or the one that HSC_TEST_KUBECONFIG and HSC_TEST_URL name."""

import json
import os
import secrets
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._target import Cluster, connect
from waiting import until


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    path = os.environ.get("HSC_TEST_KUBECONFIG", "/var/lib/hsc-jit-local/kubeconfig")
    if not Path(path).exists():
        pytest.fail(f"There is no cluster to test on: {path} does not exist. Run `make cluster`, or set HSC_TEST_KUBECONFIG.")
    return path


@pytest.fixture(scope="session")
def product(kubeconfig) -> Cluster:
    """The deployed product's namespace."""
    cluster = connect({"kubeconfig": kubeconfig, "namespace": "hsc-jit"})
    if cluster.find(cluster.namespaced("deployments", "/apis/apps/v1") + "/hsc-jit-backend") is None:
        pytest.fail("The product is not deployed in the local cluster. Run `make deploy`.")
    return cluster


@pytest.fixture(scope="session")
def images(product) -> dict[str, str]:
    """Images of the deployed product by name, as its newest release records them."""
    records = product.list(product.namespaced("configmaps"), labelSelector="hsc.jit/record=release")
    newest = max(records, key=lambda record: int(record["metadata"]["name"].rsplit("-", 1)[1]))
    return json.loads(newest["data"]["release.json"])["images"]


@pytest.fixture
def namespace(kubeconfig):
    """A namespace of this test alone, gone afterwards; labelled like the product's (Pod Security restricted)."""
    name = f"test-{secrets.token_hex(4)}"
    cluster = connect({"kubeconfig": kubeconfig, "namespace": name})
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "app.kubernetes.io/managed-by": "hsc.jit-tests"}
    cluster.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    # The controllers add these two a moment later; a test that counts objects must not see them arrive.
    for path in (cluster.namespaced("configmaps") + "/kube-root-ca.crt", cluster.namespaced("serviceaccounts") + "/default"):
        until(partial(cluster.find, path), 20, f"for {path}: is kube-controller-manager running?".format)
    yield name
    cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def cluster(kubeconfig, namespace) -> Cluster:
    return connect({"kubeconfig": kubeconfig, "namespace": namespace})


@pytest.fixture(scope="session")
def door() -> str:
    """Where users reach the product."""
    return os.environ.get("HSC_TEST_URL", "http://127.0.0.1:8000")
