"""The local cluster's registry ends while a new image is to be pulled, and is there again after 20 s: told, and no reason to put back."""

import hashlib
import json
import threading
import uuid
from pathlib import Path

import pytest
import urllib3
from ansible_collections.hsc.jit.plugins.module_utils import _local_cluster_process as process
from ansible_collections.hsc.jit.plugins.module_utils._image_layer import Blob
from ansible_collections.hsc.jit.plugins.module_utils._image_registry import MANIFEST, Registry
from small_release import run

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
AWAY_SECONDS = 20


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
def registry_ends(kubeconfig):
    """End it now; it is started again after a while, and surely when the test is over."""
    state = Path(kubeconfig).parent
    pid_file = state / "run/registry.pid"
    if not (pid := process.pid_of(pid_file)):
        pytest.skip("the registry is not the local cluster's own")
    argv = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    begin = lambda: process.ensure(pid_file, argv, state / "log/registry.log")  # noqa: E731
    again = threading.Timer(AWAY_SECONDS, begin)

    def end():
        process.end([pid])
        again.start()

    yield end
    again.cancel()
    begin()


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
