"""The local cluster's registry ends or hangs while a new image is to be pulled, and goes on later: no reason to put anything back."""

import hashlib
import json
import os
import signal
import threading
import uuid
from pathlib import Path

import pytest
import urllib3
from ansible_collections.hsc.jit.plugins.module_utils._images.layer import Blob
from ansible_collections.hsc.jit.plugins.module_utils._images.push import MANIFEST, Registry
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster import process
from small_release import run
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
AWAY_SECONDS = 20
HANGS_SECONDS = 60  # longer than a volume may be late
VOLUMES = "hsc-volumes"  # where the local cluster has them, below its kubelets' folders


def blob(folder, content):
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path = folder / digest.removeprefix("sha256:")
    path.write_bytes(content)
    return Blob(digest, len(content), path)


@pytest.fixture
def unknown_image(images, tmp_path):
    """The service's image under a digest that no node has seen: its configuration has one label more."""
    place, digest = images["service"].split("@")
    host, _, name = place.partition("/")
    door = f"http://{host.replace('localhost', '127.0.0.1')}/v2/{name}"
    manifest = urllib3.request("GET", f"{door}/manifests/{digest}", headers={"Accept": MANIFEST}).json()
    config = urllib3.request("GET", f"{door}/blobs/{manifest['config']['digest']}").json()
    config["config"].setdefault("Labels", {})["test"] = uuid.uuid4().hex
    changed = blob(tmp_path, json.dumps(config).encode())
    manifest["config"] |= {"digest": changed.digest, "size": changed.size}
    whole = blob(tmp_path, json.dumps(manifest).encode())
    Registry(host).push(name, whole, [changed])
    return f"{place}@{whole.digest}"


@pytest.fixture
def registry(kubeconfig):
    """(the file with its process id, that id)"""
    pid_file = Path(kubeconfig).parent / "run/registry.pid"
    if not (pid := process.pid_of(pid_file)):
        pytest.skip("the registry is not the local cluster's own")
    return pid_file, pid


@pytest.fixture
def registry_ends(kubeconfig, registry, broken_for):
    """End it now; it is started again after a while."""
    log, (pid_file, pid) = Path(kubeconfig).parent / "log/registry.log", registry
    argv = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    with broken_for(AWAY_SECONDS, lambda: process.end([pid]), lambda: process.ensure(pid_file, argv, log)) as end:
        yield end


def test_a_registry_that_is_away_for_a_while(base, seen, unknown_image, registry_ends):
    small = base.small()
    small.one["image"] = unknown_image
    registry_ends()
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
    assert [finding.verdict for finding in outcome.findings if finding.verdict != "warn"] == ["pass", "pass"], outcome.findings
    (told,) = [finding.message for finding in outcome.findings if finding.verdict == "warn"]
    assert "Deployment web recovered by itself" in told and "pull" in told.lower(), told
    assert seconds > AWAY_SECONDS
    seen(f"the registry away for {AWAY_SECONDS} s while an image is pulled (no fault)", told[:200], seconds, 90, "the new release")
    base.deploy()


@pytest.fixture
def registry_hangs(registry, broken_for):
    """It takes no step from now on, for a while."""
    pid_file, _ = registry

    def tell(sent):
        if pid := process.pid_of(pid_file):
            os.kill(pid, sent)

    with broken_for(HANGS_SECONDS, lambda: tell(signal.SIGSTOP), lambda: tell(signal.SIGCONT)) as hang:
        yield hang


@pytest.fixture
def late_volume(base, node_files):
    """A volume whose folder is not there yet, and the thread that makes it once the kubelet has missed it."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    folder = node_files / "kubelet" / VOLUMES / name
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node_files.name]}
    body = {"accessModes": ["ReadWriteMany"], "storageClassName": name}
    spec = {
        **body,
        "capacity": {"storage": "1Mi"},
        "local": {"path": f"/var/lib/kubelet/{VOLUMES}/{name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    base.cluster.create("/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": spec})
    claim = {"metadata": {"name": name}, "spec": {**body, "resources": {"requests": {"storage": "1Mi"}}}}
    base.cluster.create(base.cluster.namespaced("persistentvolumeclaims"), claim)

    def missed(event):
        return "FailedMount" in event["reason"] and name in event["message"]

    def comes():
        until(lambda: any(map(missed, base.cluster.list(base.cluster.namespaced("events")))))
        folder.mkdir()

    coming = threading.Thread(target=comes)
    yield {"name": "late", "persistentVolumeClaim": {"claimName": name}}, coming
    if coming.ident:
        coming.join()
    base.cluster.delete(f"{base.cluster.namespaced('persistentvolumeclaims')}/{name}")
    base.cluster.delete(f"/api/v1/persistentvolumes/{name}")
    if folder.exists():
        folder.rmdir()


def test_an_image_that_takes_its_time_after_a_volume_that_came_late(base, seen, unknown_image, registry_hangs, late_volume):
    """The kubelet's word of the volume stands there for an hour, and is no reason to take the pull for a failure."""
    small, (volume, coming) = base.small(), late_volume
    small.pod["volumes"] = [volume]
    small.one.update(image=unknown_image, volumeMounts=[{"name": "late", "mountPath": "/late"}])
    registry_hangs()
    coming.start()
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), wait_seconds=150.0)
    assert [finding.verdict for finding in outcome.findings if finding.verdict != "warn"] == ["pass", "pass"], outcome.findings
    (told,) = [finding.message for finding in outcome.findings if finding.verdict == "warn"]
    assert "Deployment web recovered by itself" in told and "FailedMount" in told, told
    assert seconds > HANGS_SECONDS - 1
    seen(f"a volume that is late, then an image whose pull takes {HANGS_SECONDS} s (no fault)", told[:200], seconds, 150, "the new release")
    base.deploy()


def test_a_pull_that_takes_its_time_after_one_that_failed(base, seen, unknown_image, registry_ends, registry_hangs):
    """While an image is pulled again, the kubelet goes on saying that the pull before failed."""
    small = base.small()
    small.one["image"] = unknown_image
    registry_ends()
    threading.Timer(AWAY_SECONDS + 0.5, registry_hangs).start()
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), wait_seconds=180.0)
    assert [finding.verdict for finding in outcome.findings if finding.verdict != "warn"] == ["pass", "pass"], outcome.findings
    assert seconds > AWAY_SECONDS + HANGS_SECONDS
    seen(f"registry away for {AWAY_SECONDS} s, and then slow for {HANGS_SECONDS} s (no fault)", "ready", seconds, 180, "the new release")
    base.deploy()
