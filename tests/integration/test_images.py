"""The images as pods: not root, a root filesystem that nobody writes, no capability; and the same input gives the same digests."""

import json
import time
from pathlib import Path

import product_images
import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from product_images import build

pytestmark = pytest.mark.cluster
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
CONFIGURATION = {"prometheus.yml": "global: {}\n", "alertmanager.yml": "route: {receiver: x}\nreceivers: [{name: x}]\n"}
DATABASE = {"POSTGRES_USER": "hsc", "POSTGRES_DB": "hsc", "POSTGRES_PASSWORD": "it's", "PGDATA": "/var/lib/postgresql/data/pgdata"}
DATABASE_FOLDERS = ["/var/lib/postgresql/data", "/var/run/postgresql", "/tmp"]
READY = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:%d%s').status)"
# name: command, environment, writable folders, what answers when it works, what it says
STARTS = {
    "redis": (["redis-server", "--dir", "/data", "--appendonly", "yes"], {}, ["/data"], ["redis-cli", "ping"], "PONG"),
    "postgres": (
        ["postgres-entrypoint"], DATABASE, DATABASE_FOLDERS, ["psql", "postgresql://hsc:it's@127.0.0.1/hsc", "-Atc", "select 6 * 7"], "42",
    ),
    "prometheus": (
        ["prometheus", "--config.file=/conf/prometheus.yml", "--storage.tsdb.path=/data"], {}, ["/data"],
        ["python", "-c", READY % (9090, "/-/ready")], "200",
    ),
    "alertmanager": (
        ["alertmanager", "--config.file=/conf/alertmanager.yml", "--storage.path=/data", "--cluster.listen-address="], {}, ["/data"],
        ["python", "-c", READY % (9093, "/-/ready")], "200",
    ),
    "redis_exporter": (
        ["prometheus-redis-exporter"], {"REDIS_ADDR": "redis://127.0.0.1:1"}, [], ["python", "-c", READY % (9121, "/metrics")], "200",
    ),
    "postgres_exporter": (
        ["prometheus-postgres-exporter"], {"DATA_SOURCE_URI": "127.0.0.1:1/hsc?sslmode=disable"}, [],
        ["python", "-c", READY % (9187, "/metrics")], "200",
    ),
    "service": (["python", "-c", "import app.wiring, time; time.sleep(600)"], {}, ["/tmp"], ["celery", "--version"], "5."),
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return str(product_images.source(tmp_path_factory.mktemp("source")))


@pytest.fixture(scope="module")
def images(tmp_path_factory, source):
    return build(tmp_path_factory.mktemp("images"), images_source=source)["images"]


def pod(name, image, command, environment, folders):
    volumes = [{"name": f"v{number}", "emptyDir": {}} for number in range(len(folders))]
    mounts = [{"name": f"v{number}", "mountPath": folder} for number, folder in enumerate(folders)]
    container = {
        "name": "main", "image": image, "command": command, "securityContext": RESTRICTED,
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "volumeMounts": [*mounts, {"name": "configuration", "mountPath": "/conf"}],
    }  # fmt: skip
    spec = {"securityContext": POD, "automountServiceAccountToken": False, "containers": [container]}
    return {
        "metadata": {"name": name},
        "spec": {**spec, "volumes": [*volumes, {"name": "configuration", "configMap": {"name": "configuration"}}]},
    }


def answer(cluster, name, command, seconds=120):
    """What the command says in the pod as soon as it succeeds; else the last failure with the pod's state."""
    deadline, said = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        state = cluster.get(f"{cluster.namespaced('pods')}/{name}")["status"]
        try:
            result = cluster.exec(name, "main", command)
            if result.returncode == 0:
                return result.stdout.decode()
            said = result.stderr
        except ApiError as problem:  # not running yet, or the machine is too busy for a handshake
            said = problem.message
        time.sleep(0.5)
    raise AssertionError(f"{name}: {said}\n{json.dumps(state)[:1500]}")


def test_every_image_works_without_root_on_a_read_only_root(cluster, images):
    assert set(images) == set(STARTS)
    cluster.create(cluster.namespaced("configmaps"), {"metadata": {"name": "configuration"}, "data": CONFIGURATION})
    for name, (command, environment, folders, _, _) in STARTS.items():
        cluster.create(cluster.namespaced("pods"), pod(name.replace("_", "-"), images[name], command, environment, folders))
    for name, (_, _, _, question, expected) in STARTS.items():
        assert answer(cluster, name.replace("_", "-"), question).startswith(expected), name
        assert answer(cluster, name.replace("_", "-"), ["id"]).startswith("uid=10001(hsc) gid=10001(hsc)"), name


def test_a_wrong_password_is_refused_even_from_the_same_pod(cluster, images):
    cluster.create(cluster.namespaced("configmaps"), {"metadata": {"name": "configuration"}, "data": CONFIGURATION})
    command, environment, folders, question, _ = STARTS["postgres"]
    cluster.create(cluster.namespaced("pods"), pod("postgres", images["postgres"], command, environment, folders))
    answer(cluster, "postgres", question)
    for host in ("127.0.0.1", "/var/run/postgresql"):
        result = cluster.exec("postgres", "main", ["psql", f"host={host} user=hsc dbname=hsc password=wrong", "-c", "select 1"])
        assert (result.returncode, "password authentication failed" in result.stderr) == (2, True)


def test_unchanged_input_builds_nothing_within_two_seconds(images, source, tmp_path):
    result = build(tmp_path, images_source=source)
    assert (result["changed"], result["done"], result["images"]) == (False, [], images)
    assert result["seconds"] < 2


@pytest.mark.slow
def test_a_clean_build_elsewhere_gives_the_same_digests(images, source, tmp_path):
    clean = build(tmp_path, images_source=source, images_cache_dir=str(tmp_path / "cache"))
    assert clean["images"] == images
    for name, path in clean["sboms"].items():
        bill = json.loads(Path(path).read_text())
        assert images[name].endswith(bill["metadata"]["component"]["version"])
        assert len(bill["components"]) > 50
