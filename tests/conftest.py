"""A real cluster and the product in it: the local one (`make deploy`), or the one that HSC_TEST_KUBECONFIG and HSC_TEST_URL name."""

import json
import os
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from private_namespace import private_namespace
from xdist.scheduler import LoadScopeScheduling

# Tests that change the deployed product, or would be disturbed by one that does. `pytest -n 2 --dist loadfile` runs them one after the
# other, and other files beside them. (Groups of xdist 3.8 do nothing under pytest 9: it sets Item._nodeid, which is gone.)
PRODUCT = {"test_alerts", "test_backup", "test_deploy_faults", "test_operate", "test_verify_product"}


class FileScheduling(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        name = Path(nodeid.partition("::")[0]).stem
        return "product" if name in PRODUCT else name


def pytest_xdist_make_scheduler(config, log):
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


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
    """Its name."""
    with private_namespace(kubeconfig) as cluster:
        yield cluster.namespace


@pytest.fixture
def cluster(kubeconfig, namespace) -> Cluster:
    return connect({"kubeconfig": kubeconfig, "namespace": namespace})


@pytest.fixture(scope="session")
def door() -> str:
    """Where users reach the product."""
    return os.environ.get("HSC_TEST_URL", "http://127.0.0.1:8000")
