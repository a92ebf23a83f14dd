"""A secret that is rotated by a release which fails: its value is in no line, file, record or event, however much is asked for."""

import base64
import json

import pytest
from deployment import Deployment

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
SEED = "CANARY-7f3a-not-a-key"
KEPT = ("configmaps", "events", "pods")  # what a run leaves in the namespace beside Secrets


@pytest.fixture
def secret(product):
    path = product.namespaced("secrets/hsc-secrets")
    before = product.get(path)["data"]
    yield path
    product.patch_merge(path, {"data": before})


def test_a_rotated_secret_shows_nowhere(product, kubeconfig, images, secret, tmp_path):
    address = base64.b64decode(product.get(secret)["data"]["redis-url"]).decode()
    values = {"redis-url": address, "gemini-key": SEED}
    run = Deployment(
        tmp_path, "-vvv", "--diff", kubeconfig=kubeconfig, release_images=images, release_secret_values=values,
        release_log_level="WARNING", verify_expected_product="No such product",
    )  # fmt: skip
    assert run.returncode == 2
    assert any("No such product" in message for message in run.messages("VF-02", "fail")), "the failing row still says what is wrong"
    assert base64.b64decode(product.get(secret)["data"]["gemini-key"]).decode() == SEED, "it was rotated"
    words = (SEED, base64.b64encode(SEED.encode()).decode())
    written = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) > 4
    assert [name for name, content in written.items() if any(word.encode() in content for word in words)] == []
    assert not [line for line in run.output.splitlines() if any(word in line for word in words)]
    left = json.dumps([product.list(product.namespaced(plural)) for plural in KEPT])
    assert not [word for word in words if word in left]
