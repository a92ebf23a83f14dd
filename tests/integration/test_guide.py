"""The production guide's commands, each as written, by somebody who has kubectl and the rendered files but no Ansible.

Only the namespace's name is this test's own, because hsc-jit is taken by the deployed product.
"""

import json
import os
import shlex
import subprocess
import urllib.request
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from playbook import play

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

    def _words(line):
        return shlex.split(line.replace("-n hsc-jit", f"-n {NAMESPACE}").replace("namespace hsc-jit", f"namespace {NAMESPACE}"))

    def _shell(line):
        done = subprocess.run(
            _words(line), cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    def _start(line):
        return subprocess.Popen(_words(line), cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)

    _shell.start = _start
    yield _shell
    cluster = connect({"kubeconfig": kubeconfig, "namespace": NAMESPACE})
    cluster.delete(f"/api/v1/namespaces/{NAMESPACE}")
    for kind in ("clusterroles", "clusterrolebindings"):
        cluster.delete(f"/apis/rbac.authorization.k8s.io/v1/{kind}/{NAMESPACE}-prometheus")


# Kubernetes deployment, in the guide's order: each test is one line of it and builds on those before.


def test_kubectl_create_namespace(shell):
    assert "created" in shell("kubectl create namespace hsc-jit")


def test_kubectl_create_secret_generic(shell):
    values = "--from-literal=redis-url=redis://hsc-jit-redis:6379/0 --from-literal=gemini-key=none"
    assert "created" in shell(f"kubectl create secret generic hsc-secrets {values} -n hsc-jit")


@pytest.mark.parametrize("name", ["backend-deployment", "monitoring", "maintenance"])
def test_kubectl_apply(shell, name):
    assert "created" in shell(f"kubectl apply -f kubernetes/{name}.yaml")


def test_kubectl_rollout_status(shell):
    assert "successfully rolled out" in shell("kubectl rollout status deployment/hsc-jit-backend -n hsc-jit")


def test_kubectl_get_pods(shell):
    assert "hsc-jit-backend" in shell("kubectl get pods -n hsc-jit")


def test_kubectl_logs_f(shell):
    """It ends only by being ended."""
    process = shell.start("kubectl logs -f -l app=hsc-jit-backend -n hsc-jit")
    try:
        assert process.stdout.readline()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_search_functions_correctly(shell):
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000{}').read().decode())"
    found = shell(f'kubectl exec deploy/hsc-jit-backend -n hsc-jit -- python -c "{ask.format("/api/search?q=td17")}"')
    assert "TD-17" in found


# Troubleshooting and operations.


def test_kubectl_rollout_restart(shell):
    shell("kubectl rollout restart deployment/hsc-jit-backend -n hsc-jit")
    shell("kubectl rollout status deployment/hsc-jit-backend -n hsc-jit")


def test_celery_inspect_active(shell):
    shell("kubectl rollout status deployment/hsc-jit-worker -n hsc-jit")
    answer = shell("kubectl exec deploy/hsc-jit-worker -n hsc-jit -- celery -A app.core.tasks inspect active")
    assert "1 node online" in answer


def test_redis_cli_flushdb(shell):
    assert shell("kubectl exec deploy/hsc-jit-redis-cache -n hsc-jit -- redis-cli FLUSHDB").strip() == "OK"


# On what `make deploy` made, through its doors.


def fetch(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.status, answer.read().decode()


def test_kubectl_get_nodes(kubeconfig):
    command = [str(Path(kubeconfig).parent / "bin/kubectl"), f"--kubeconfig={kubeconfig}", "get", "nodes", "--no-headers"]
    nodes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert nodes
    assert all(line.split()[1] == "Ready" for line in nodes)


def test_curl_health_returns_200(product):
    assert fetch("http://127.0.0.1:8000/health")[0] == 200


def test_main_ui_loads(product):
    status, page = fetch("http://127.0.0.1:5173")
    assert (status, "<title>" in page) == (200, True)


def test_query_http_requests_total(product):
    _, text = fetch("http://127.0.0.1:9090/api/v1/query?query=http_requests_total")
    series = json.loads(text)["data"]["result"]
    assert {one["metric"]["job"] for one in series} == {"hsc-jit-backend"}
