"""The production guide's commands, each as written, by somebody who has kubectl and the rendered files but no Ansible.

Only the namespace's name is this test's own, because hsc-jit is taken by the deployed product.
"""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._target import connect
from playbook import play
from waiting import until

ROOT = Path(__file__).parents[2]
NAMESPACE = "hsc-jit-guide"
LONGEST_SECONDS = 240
pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory, images):
    """Where `make render` has written kubernetes/*.yaml."""
    folder = tmp_path_factory.mktemp("guide")
    settings = {
        "release_namespace": NAMESPACE,
        "release_local_cluster": False,
        "release_images": images,
        "release_node_ports": {},
        "release_replicas": {"backend_min": 1, "backend_max": 2, "answer": 1, "worker": 1},
        "rollout_output_dir": str(folder / "kubernetes"),
    }
    done = play("playbooks/render.yml", **settings)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder


@pytest.fixture(scope="module")
def shell(folder, kubeconfig):
    """Runs one line of the guide in that folder; what it printed."""
    environment = {**os.environ, "KUBECONFIG": kubeconfig, "PATH": f"{Path(kubeconfig).parent / 'bin'}:{os.environ['PATH']}"}

    def _shell(line):
        command = shlex.split(line.replace("-n hsc-jit", f"-n {NAMESPACE}").replace("namespace hsc-jit", f"namespace {NAMESPACE}"))
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    yield _shell
    cluster = connect({"kubeconfig": kubeconfig, "namespace": NAMESPACE})
    cluster.delete(f"/api/v1/namespaces/{NAMESPACE}")
    for kind in ("clusterroles", "clusterrolebindings"):
        cluster.delete(f"/apis/rbac.authorization.k8s.io/v1/{kind}/{NAMESPACE}-prometheus")


def test_the_guide_deploys_the_product(shell):
    shell("kubectl create namespace hsc-jit")
    secret = (
        "kubectl create secret generic hsc-secrets --from-literal=redis-url=redis://hsc-jit-redis:6379/0 --from-literal=gemini-key=none"
    )
    shell(f"{secret} -n hsc-jit")
    for name in ("backend-deployment", "monitoring", "maintenance"):
        shell(f"kubectl apply -f kubernetes/{name}.yaml")
    shell("kubectl rollout status deployment/hsc-jit-backend -n hsc-jit")
    assert "hsc-jit-backend" in shell("kubectl get pods -n hsc-jit")
    assert until(lambda: shell("kubectl logs -l app=hsc-jit-backend -n hsc-jit"))


def test_the_guides_product_answers(shell):
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000{}').read().decode())"
    found = shell(f'kubectl exec deploy/hsc-jit-backend -n hsc-jit -- python -c "{ask.format("/api/search?q=td17")}"')
    assert "TD-17" in found


def test_the_guides_operations(shell):
    shell("kubectl rollout restart deployment/hsc-jit-backend -n hsc-jit")
    shell("kubectl rollout status deployment/hsc-jit-backend -n hsc-jit")
    shell("kubectl rollout status deployment/hsc-jit-worker -n hsc-jit")
    answer = shell("kubectl exec deploy/hsc-jit-worker -n hsc-jit -- celery -A app.core.tasks inspect active")
    assert "1 node online" in answer
    assert shell("kubectl exec deploy/hsc-jit-redis-cache -n hsc-jit -- redis-cli FLUSHDB").strip() == "OK"
