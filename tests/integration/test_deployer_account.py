"""The rights of docs/operations/deployer-rbac.yaml are enough for a whole deployment, a look for changes by hand, and the way back."""

import secrets

import pytest
from deployer_account import deployer_account, token
from deployment import Deployment
from playbook import play
from written_kubeconfig import written_kubeconfig

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def deployer(product, tmp_path):
    """A kubeconfig with that account's token and nothing else."""
    with deployer_account(product, f"test-deployer-{secrets.token_hex(3)}") as name:
        path, authority = tmp_path / "kubeconfig", product.configuration.ssl_ca_cert
        written_kubeconfig(path, {"token": token(product, name)}, server=product.server, **{"certificate-authority": authority})
        yield str(path)


def test_a_deployer_who_is_no_administrator_deploys_looks_and_goes_back(product, deployer, images, tmp_path):
    given = {"kubeconfig": deployer, "preflight_lease_namespace": product.namespace, "release_images": images}
    settings = product.namespaced("configmaps/hsc-jit-config")
    before = product.get(settings)["data"]
    run = Deployment(tmp_path / "deployed", release_log_level="DEBUG", **given)
    assert run.returncode == 0, run.output[-3000:]
    assert product.get(settings)["data"] != before
    for book in ("drift.yml", "rollback.yml"):
        done = play(f"playbooks/{book}", release_evidence_dir=str(tmp_path / book), **given)
        assert done.returncode == 0, done.stdout[-3000:]
    assert product.get(settings)["data"] == before
