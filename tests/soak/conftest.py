"""The deployed product that the soak tests break: the local one, or the one that HSC_TEST_KUBECONFIG and HSC_TEST_URL name."""

import os
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._target import Cluster, connect

RESULTS = Path(__file__).parents[2] / ".cache/test"


@pytest.fixture(scope="session")
def product() -> Cluster:
    """The deployed product's namespace."""
    cluster = connect({"kubeconfig": os.environ.get("HSC_TEST_KUBECONFIG", "/var/lib/hsc-jit-local/kubeconfig"), "namespace": "hsc-jit"})
    if cluster.find(cluster.namespaced("deployments", "/apis/apps/v1") + "/hsc-jit-backend") is None:
        pytest.fail("The product is not deployed in this cluster. Run `make deploy`.")
    return cluster


@pytest.fixture(scope="session")
def door() -> str:
    """Where users reach the product."""
    return os.environ.get("HSC_TEST_URL", "http://127.0.0.1:8000")


@pytest.fixture
def results() -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    return RESULTS
