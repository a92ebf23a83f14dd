"""The guide's quick start with docker-compose, on a Docker engine of this test's own, beside the local cluster."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from playbook import ROOT, play
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
# The cluster publishes the guide's ports; a test of the repository compares those that stand in docker-compose.yml.
PORTS = {"PAGE": "15173", "API": "18000", "GRAFANA": "13000", "PROMETHEUS": "19090"}
GUIDE = {"PAGE": "5173", "API": "8000", "GRAFANA": "3000", "PROMETHEUS": "9090"}


def output(*argv, check=True, **more):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **more)
    assert not check or done.returncode == 0, f"{argv}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def fetch(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Debian's Docker engine, with nothing in it; the machine's firewall is as before when it has gone."""
    if os.geteuid() != 0:
        pytest.skip("a Docker engine of its own needs root")
    if not (shutil.which("dockerd") and shutil.which("docker-compose")):
        output("apt-get", "install", "--yes", "--no-install-recommends", "docker.io", "docker-compose", env={**os.environ, "RUNLEVEL": "1"})
    folder = tmp_path_factory.mktemp("docker")
    firewall, links = output("iptables-save"), set(Path("/sys/class/net").iterdir())
    socket = f"unix://{folder}/docker.sock"
    places = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", f"--host={socket}"]
    log = (folder / "log").open("w")
    argv = ["dockerd", *places, "--bip=10.231.0.1/24", "--oom-score-adjust=0", "--default-address-pool=base=10.232.0.0/16,size=24"]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    environment = {**os.environ, "DOCKER_HOST": socket}
    try:
        until(lambda: "Server Version" in output("docker", "info", check=False, env=environment), 60, (folder / "log").read_text)
        yield environment
    finally:
        process.terminate()
        process.wait(60)
        log.close()
        for link in set(Path("/sys/class/net").iterdir()) - links:
            output("ip", "link", "delete", link.name, check=False)
        subprocess.run(["iptables-restore"], input=firewall, text=True, check=True)


@pytest.fixture(scope="module")
def compose(engine, images):
    """Runs docker-compose as the guide writes it; only ports and images are said by the environment."""
    environment = {
        **engine,
        **{f"HSC_IMAGE_{name.upper()}": image for name, image in images.items()},
        "COMPOSE_FILE": "docker-compose.yml:docker-compose.offline.yml",
        "COMPOSE_PROJECT_NAME": "hscjittest",
    }

    def run(*words, check=True, ports=PORTS):
        said = {f"HSC_PORT_{name}": port for name, port in ports.items()}
        return output("docker-compose", *words, cwd=ROOT, env=environment | said, check=check)

    def start(*words):
        return subprocess.Popen(
            ["docker-compose", *words], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )

    run.start = start
    yield run
    run("down", "--volumes", check=False)


def test_up(compose):
    began = time.monotonic()
    compose("up", "-d")
    until(lambda: "(healthy)" in compose("ps", "backend"), 120, lambda: compose("logs", "--tail=30"))
    print(f"docker-compose up to a backend that is ready: {time.monotonic() - began:.0f} s")
    assert "<title>" in fetch(PORTS["PAGE"], "/")
    assert json.loads(fetch(PORTS["API"], "/health"))
    found = json.loads(fetch(PORTS["API"], "/api/search?q=td17"))["results"]
    assert found[0]["product"]["name"].startswith("TD-17")


def test_prometheus_reads_every_part(compose):
    def down():
        targets = json.loads(fetch(PORTS["PROMETHEUS"], "/api/v1/targets?state=active"))["data"]["activeTargets"]
        return [one["scrapeUrl"] for one in targets if one["health"] != "up"] if targets else ["none"]

    until(lambda: not down(), 60, lambda: str(down()))


def test_celery_answers(compose):
    assert "1 node online" in compose("exec", "-T", "worker", "celery", "-A", "app.core.tasks", "inspect", "active")


def test_logs_are_followed(compose):
    """`logs -f` ends only by being ended."""
    process = compose.start("logs", "-f", "--tail=5", "backend")
    try:
        assert "backend_1" in process.stdout.readline() + process.stdout.readline()
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_the_cluster_beside_it_is_well(compose, product):
    nodes = product.list("/api/v1/nodes")
    assert all(one["status"] == "True" for node in nodes for one in node["status"]["conditions"] if one["type"] == "Ready")
    assert fetch("8000", "/health")


def test_its_data_survives_down_and_up(compose, engine):
    compose("exec", "-T", "redis", "redis-cli", "SET", "test:compose", "kept")
    compose("down")
    compose("up", "-d", "redis")
    until(lambda: "kept" in compose("exec", "-T", "redis", "redis-cli", "GET", "test:compose", check=False), 30)
    compose("down", "--volumes")
    assert "hscjittest" not in output("docker", "ps", "--all", env=engine)


def test_on_the_guides_own_ports_where_the_cluster_makes_room(compose, kubeconfig):
    """As README says: pull while the registry serves, `make down`, `docker-compose up -d`; then the cluster starts beside the engine."""
    compose("pull", ports=GUIDE)
    stopped = play("playbooks/local_cluster.yml", local_cluster_state="stopped")
    assert stopped.returncode == 0, stopped.stdout[-2000:]
    try:
        compose("up", "-d", ports=GUIDE)
        until(lambda: "(healthy)" in compose("ps", "backend", ports=GUIDE), 120, lambda: compose("logs", "--tail=30", ports=GUIDE))
        assert "<title>" in fetch("5173", "/")
        assert json.loads(fetch("8000", "/health"))
        assert json.loads(fetch("9090", "/api/v1/status/buildinfo"))["status"] == "success"
    finally:
        compose("down", "--volumes", ports=GUIDE)
        started = play("playbooks/local_cluster.yml")
    assert started.returncode == 0, started.stdout[-2000:]
    until(lambda: fetch_or_none("8000", "/health"), 120)


def fetch_or_none(port, path):
    try:
        return fetch(port, path)
    except OSError:
        return None
