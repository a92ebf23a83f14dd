"""A second local cluster beside the first: killed half-made, repaired after kill -9 of everything, and gone without a trace."""

import contextlib
import json
import os
import random
import re
import subprocess
import time
from pathlib import Path

import pytest
import urllib3
from ansible_collections.hsc.jit.plugins.module_utils._images.layer import MANIFEST, Blob
from ansible_collections.hsc.jit.plugins.module_utils._images.push import Registry
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from ansible_collections.hsc.jit.plugins.module_utils._operate.drain import Drain
from ansible_collections.hsc.jit.plugins.module_utils._poll import CLOCK
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from playbook import ROOT, command, environment, play
from power_cut import power_cut, settings
from waiting import until

STATE = Path("/var/lib/hsc-jit-twin")
PLAYBOOK = "playbooks/local_cluster.yml"
OPTIONS = {
    "local_cluster_name": "twin",
    "local_cluster_nodes": 3,
    "local_cluster_subnet": "10.92.0.0/24",
    "local_cluster_pod_cidr": "10.246.0.0/16",
    "local_cluster_service_cidr": "10.98.0.0/16",
    "local_cluster_registry_port": 5012,
    "local_cluster_ports": {"18088": 30888},
}
pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def run_playbook(**changes):
    """(exit code, seconds, output) of the playbook."""
    began = time.monotonic()
    done = play(PLAYBOOK, **OPTIONS | changes)
    return done.returncode, time.monotonic() - began, done.stdout


def up(**changes):
    returncode, seconds, output = run_playbook(**changes)
    assert returncode == 0, output[-4000:]
    return seconds, output


def traces():
    """Everything of the host that a cluster could leave behind, as sets of lines. The host's own and the first cluster's are in both."""
    return {
        "links": set(re.findall(r"^\d+: ([^:@]+)", run("ip", "-o", "link"), re.MULTILINE)),
        "routes": set(run("ip", "route").splitlines()),
        "netns": set(run("ip", "netns").splitlines()),
        "iptables": set(re.findall(r"^(?:-A .*|:\S+ \S+)", run("iptables-save"), re.MULTILINE)),
        "mounts": {line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()},
        "state": {str(path) for path in Path("/var/lib").glob("hsc-jit-*")},
        "folders": {str(path) for path in map(Path, ["/etc/kubernetes", "/etc/cni", "/var/lib/kubelet", "/var/lib/etcd"]) if path.exists()},
        "cgroups": {folder for folder, _, _ in os.walk("/sys/fs/cgroup") if Path(folder).name.startswith("hsc-jit-")},
        "processes": {
            line
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if str(STATE) in (line := text(path)) or "hsc-jit-twin" in line
        },
    }  # fmt: skip


def text(path):
    try:
        return path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def word():
    return kubectl("exec", "keeper", "--", "cat", "/kept/word")


def kubectl(*argv):
    return run(str(STATE / "bin/kubectl"), f"--kubeconfig={STATE}/kubeconfig", *argv)


CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: kept}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper}
spec:
  restartPolicy: Always
  securityContext: {fsGroup: 10001} # the image runs as 10001, and a new volume is root's
  containers:
    - name: keeper
      image: %s
      command: [sh, -c, "test -f /kept/word || echo written once by $(hostname) > /kept/word; exec sleep 100000"]
      volumeMounts: [{name: kept, mountPath: /kept}]
  volumes: [{name: kept, persistentVolumeClaim: {claimName: kept}}]
"""


GUARDED = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: guarded}
spec:
  replicas: 2
  selector: {matchLabels: {app: guarded}}
  template:
    metadata: {labels: {app: guarded}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: c, image: %s, command: [sleep, "100000"]}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: guarded}
spec: {minAvailable: "100%%", selector: {matchLabels: {app: guarded}}}
"""


def apply(text):
    words = [str(STATE / "bin/kubectl"), f"--kubeconfig={STATE}/kubeconfig", "apply", "-f", "-"]
    subprocess.run(words, input=text, text=True, check=True, capture_output=True)


def drained(copied):
    """A node whose pods a budget holds is not empty in bounded time, and says so; with a budget that allows one it is."""
    apply(GUARDED % copied)
    kubectl("rollout", "status", "deployment/guarded", "--timeout=90s")
    pods = json.loads(kubectl("get", "pods", "-l", "app=guarded", "-o", "json"))["items"]
    keeper = kubectl("get", "pod", "keeper", "-o", "jsonpath={.spec.nodeName}")
    node = next(name for pod in pods if (name := pod["spec"]["nodeName"]) != keeper)
    cluster = connect({"kubeconfig": str(STATE / "kubeconfig"), "namespace": "default"})
    drain = Drain(cluster, node, Progress(), CLOCK)
    assert drain.pods()
    held = drain.run(10)
    assert held.verdict == "fail"
    assert "disruption budget guarded needs 2 healthy pods" in held.message
    kubectl("patch", "pdb", "guarded", "--type=merge", "-p", '{"spec":{"minAvailable":1}}')
    done = drain.run(60)
    assert done.verdict == "pass", done
    print(f"drained: {done.evidence['seconds']} s")
    kubectl("rollout", "status", "deployment/guarded", "--timeout=90s")
    kubectl("uncordon", node)
    kubectl("delete", "deployment/guarded", "pdb/guarded", "--wait=true")


@pytest.fixture(scope="module")
def image(kubeconfig):
    """An image with a shell that the second cluster's nodes can pull: the first cluster's, from its registry."""
    product = connect({"kubeconfig": kubeconfig, "namespace": "hsc-jit"})
    found = product.get(product.namespaced("statefulsets", "/apis/apps/v1") + "/hsc-jit-redis")
    return found["spec"]["template"]["spec"]["containers"][0]["image"]


def test_from_half_made_to_gone(image, tmp_path):
    run_playbook(local_cluster_state="absent")
    before = traces()

    half = subprocess.Popen(command(PLAYBOOK, **OPTIONS), cwd=ROOT, env=environment(),
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    until((STATE / "nodes/twin-0/run/containerd.pid").exists, 120)
    os.killpg(half.pid, 9)
    half.wait()
    assert not (STATE / "initialised").exists()

    try:
        seconds, output = up()
        assert "beginning again" in output or "half-made" in output
        print(f"up with three nodes after a half-made one: {seconds:.0f} s")
        nodes_ready = kubectl("get", "nodes", "--no-headers").splitlines()
        assert [line.split()[1] for line in nodes_ready] == ["Ready"] * 3

        registry = image.split("/")[0]
        copied = image.replace(registry, f"localhost:{OPTIONS['local_cluster_registry_port']}")
        copy_image(image, copied, tmp_path)
        apply(CLAIM % copied)
        kubectl("wait", "--for=condition=Ready", "pod/keeper", "--timeout=90s")
        # Ready means that the shell runs, not that it has written already.
        until(lambda: "written once" in word(), 20, lambda: kubectl("describe", "pod", "keeper"))
        written = word()

        drained(copied)

        killed = power_cut(settings(**OPTIONS))
        assert killed > 20
        seconds, output = up()
        print(f"repaired after kill -9 of {killed} processes: {seconds:.0f} s")
        assert "changed=1" in output
        until(lambda: "1/1" in kubectl("get", "pod", "keeper", "--no-headers"), 90, lambda: kubectl("describe", "pod", "keeper"))
        assert kubectl("exec", "keeper", "--", "cat", "/kept/word") == written

        seconds, output = up()
        assert "changed=0" in output
        print(f"nothing to do: {seconds:.1f} s")
        assert seconds < 15

        code, _, output = run_playbook(local_cluster_subnet="10.93.0.0/24")
        assert code != 0
        assert "10.93.0.0/24" in output and "make destroy" in output
    finally:
        code, seconds, output = run_playbook(local_cluster_state="absent")
    assert code == 0, output
    print(f"destroyed: {seconds:.0f} s")
    after = traces()
    assert {name: after[name] ^ before[name] for name in before if after[name] != before[name]} == {}


def test_killed_at_any_moment_it_comes_up_and_goes_whole():
    """kill -9 of the playbook alone, again and again: while a cluster is made, and while a stopped one is started."""
    run_playbook(local_cluster_state="absent")
    before, one = traces(), {"local_cluster_nodes": 1}
    try:
        for round_, already_there in ((random.Random(1), False), (random.Random(2), True)):
            if already_there:
                run_playbook(local_cluster_state="stopped")
            moments = [round(round_.uniform(1, 11), 2) for _ in range(6)]
            for seconds in moments:
                killed_after(seconds, **one)
            seconds, _ = up(**one)
            print(f"killed after {moments} s, then up in {seconds:.0f} s")
            assert kubectl("get", "nodes", "--no-headers").split()[:2] == ["twin-0", "Ready"]
            assert "changed=0" in up(**one)[1]
        killed_after(2.5, local_cluster_state="absent")
    finally:
        code, _, output = run_playbook(local_cluster_state="absent")
    assert code == 0, output
    after = traces()
    assert {name: after[name] ^ before[name] for name in before if after[name] != before[name]} == {}


def killed_after(seconds, **changes):
    line = command(PLAYBOOK, **OPTIONS | changes)
    with subprocess.Popen(line, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(seconds)
        run.kill()


def copy_image(source, target, folder):
    """From one registry of a local cluster into another, over HTTP as any client would."""
    name, digest = source.partition("/")[2].split("@")
    base = f"http://127.0.0.1:{source.split('/')[0].rpartition(':')[2]}/v2/{name}"

    def fetch(path, described, size):
        file = folder / described.replace(":", "-")
        file.write_bytes(urllib3.request("GET", f"{base}/{path}/{described}", headers={"Accept": MANIFEST}).data)
        assert size in (None, file.stat().st_size)
        return Blob(described, file.stat().st_size, file)

    manifest = fetch("manifests", digest, None)
    parts = json.loads(manifest.path.read_text())
    blobs = [fetch("blobs", part["digest"], part["size"]) for part in [parts["config"], *parts["layers"]]]
    Registry(target.split("/")[0]).push(name, manifest, blobs)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"local_cluster_nodes": 0}, "nodes is 0"),
        ({"local_cluster_name": "Never_1"}, "1 to 11 characters"),
        ({"local_cluster_subnet": "8.8.8.0/24"}, "must be a private /24 network"),
        ({"local_cluster_pod_cidr": "10.98.0.0/16"}, "overlaps"),
        ({"local_cluster_registry_port": 5001}, "Port 5001 of 127.0.0.1 is taken"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(kubeconfig, changes, said):
    before = traces()
    code, _, output = run_playbook(**{"local_cluster_name": "never", **changes})
    assert code != 0
    assert said in output.replace("\n", " "), output[-1500:]
    assert traces()["state"] == before["state"]
