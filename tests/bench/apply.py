"""hsc.jit.release beside helm, kubectl and kubernetes.core: the same objects first created, unchanged, and with a fifth of them changed.

    PYTHONPATH=.collections .venv/bin/python tests/bench/apply.py --set product --rounds 5
    PYTHONPATH=.collections .venv/bin/python tests/bench/apply.py --set 1000 --rounds 5
    PYTHONPATH=.collections .venv/bin/python tests/bench/apply.py --set 1000 --rounds 5 --alone
    PYTHONPATH=.collections .venv/bin/python tests/bench/apply.py --set 1000 --rounds 5 --alone --beside ../before

What is measured: wall seconds of a whole process, from its start to its end. The tools take turns, their order changes from round to round,
each round has new namespaces; the ratio is a tool's time divided by ours of the same round. Requests are counted, and our module's
memory is looked at, in a round of its own through a proxy, which makes everything slower, so that round is not timed; with --rounds 0 it
is the only one. None of the others waits or checks anything; ours waits until the controllers have seen every object, and
keeps a record. Ansible's own start, which all playbooks contain, stands in a row of its own.

helm: `go install helm.sh/helm/v4/cmd/helm@latest`, or --helm PATH; without it, it is left out. kubernetes.core comes with Ansible.
--beside: another checkout of this repository with its .collections, whose module takes turns with ours: before and after a change.
"""

import argparse
import contextlib
import copy
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import yaml
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from ansible_collections.hsc.jit.plugins.module_utils._release import manifests

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from counting_proxy import counting  # noqa: E402
from written_kubeconfig import written_kubeconfig  # noqa: E402

BIN = Path(sys.executable).parent
OURS, BESIDE = "hsc.jit.release", "hsc.jit.release of the other checkout"
ITSELF = {OURS: "of that, the module itself", BESIDE: "of that, the other's module itself"}
MARK = {"app.kubernetes.io/managed-by": "hsc.jit-bench"}
SCENES = ("first", "unchanged", "a fifth changed")
SMALL_ONLY = ("kubernetes.core, a task for each object",)  # of 1000 objects it is a quarter of an hour, three times a round


def settings(count):
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"settings-{number:04}"},
            "data": {"number": str(number), "text": "x" * 200},
        }
        for number in range(count)
    ]


def product():
    """The product's own objects that lie in a namespace, as `make render` writes them; their pods are left out, so that none is started."""
    found = []
    files = sorted((ROOT / "kubernetes/local").glob("*.yaml"))
    if not files:
        sys.exit("The product's manifests are not there yet. Run: make render")
    for path in files:
        for obj in yaml.safe_load_all(path.read_text()):
            obj["metadata"].pop("namespace", None)
            if obj["kind"] in ("Namespace", "ClusterRole", "ClusterRoleBinding", "Job", "RoleBinding", "Role"):
                continue
            if obj["kind"] in ("Deployment", "StatefulSet"):
                obj["spec"]["replicas"] = 0
            if obj["kind"] == "CronJob":
                obj["spec"]["suspend"] = True
            if obj["kind"] != "HorizontalPodAutoscaler":
                found.append(obj)
    for service in (obj for obj in found if obj["kind"] == "Service"):
        service["spec"] = {name: value for name, value in service["spec"].items() if name != "type"}
        for port in service["spec"]["ports"]:
            port.pop("nodePort", None)
    return found


def changed(objects):
    """Every fifth object with another value."""
    copied = copy.deepcopy(objects)
    for obj in copied[::5]:
        obj["metadata"].setdefault("labels", {})["round"] = "changed"
    return copied


class Tool:
    """A way to bring objects into a namespace. prepare writes the files, command is what is timed, in the checkout at root."""

    def __init__(self, name, prepare, command, root=ROOT):
        self.name, self.prepare, self.command, self.root = name, prepare, command, root


def playbook(folder, tasks):
    (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))


def ours(folder, objects, namespace):
    stamped = [manifests.stamp(copy.deepcopy(obj), "30-all", namespace) for obj in objects]
    (folder / "objects.json").write_text(json.dumps(stamped))
    read = "{{ lookup('ansible.builtin.file', '" + str(folder / "objects.json") + "') | from_json }}"
    journal = str(folder / "run/journal.jsonl")
    task = {"objects": read, "namespace": namespace, "kubeconfig": "{{ kubeconfig }}", "journal": journal}
    playbook(folder, [{"hsc.jit.release": task}])


def own_seconds(folder):
    """What the module itself took in the last run, as its journal says."""
    entries = map(json.loads, (folder / "run/journal.jsonl").read_text().splitlines())
    return [entry["data"]["seconds"] for entry in entries if entry["kind"] == "module"][-1]


def nothing(folder, objects, namespace):
    """What Ansible itself needs, with a module that does nothing: ours and kubernetes.core's times contain it."""
    playbook(folder, [{"ansible.builtin.ping": {}}])


def one_task(folder, objects, namespace):
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    task = {"src": str(folder / "all.yaml"), "namespace": namespace, "apply": True, "kubeconfig": "{{ kubeconfig }}"}
    playbook(folder, [{"kubernetes.core.k8s": task}])


def task_each(folder, objects, namespace):
    task = {"definition": "{{ item }}", "namespace": namespace, "apply": True, "kubeconfig": "{{ kubeconfig }}"}
    (folder / "objects.json").write_text(json.dumps(objects))
    read = "{{ lookup('ansible.builtin.file', '" + str(folder / "objects.json") + "') | from_json }}"
    playbook(folder, [{"kubernetes.core.k8s": task, "loop": read, "loop_control": {"label": "-"}}])


def manifest(folder, objects, namespace):
    (folder / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


def chart(folder, objects, namespace):
    (folder / "templates").mkdir(exist_ok=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    text = yaml.safe_dump_all(objects)
    (folder / "templates/all.yaml").write_text(text.replace("{{", '{{ "{{" }}'))  # a brace of an alert's text is none of helm's


def tools(kubectl, helm, beside):
    """What each tool is started with: (folder of its files, namespace, kubeconfig) -> words."""

    def with_kubectl(*words):
        return lambda folder, namespace, kubeconfig: [
            kubectl, f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", "apply", *words, "-f", str(folder / "all.json")
        ]  # fmt: skip

    def with_ansible(folder, _namespace, kubeconfig):
        given = json.dumps({"kubeconfig": kubeconfig, "ansible_python_interpreter": sys.executable})
        return [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(folder / "play.yml"), "-e", given]

    def with_helm(folder, namespace, kubeconfig):
        return [helm, f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", "upgrade", "--install", "bench", str(folder)]

    found = [
        Tool(OURS, ours, with_ansible),
        Tool("(a playbook that does nothing)", nothing, with_ansible),
        Tool("kubectl apply --server-side", manifest, with_kubectl("--server-side", "--force-conflicts")),
        Tool("kubectl apply", manifest, with_kubectl()),
        Tool("kubernetes.core, one task", one_task, with_ansible),
        Tool("kubernetes.core, a task for each object", task_each, with_ansible),
    ]
    found += [Tool("helm upgrade --install", chart, with_helm)] if helm else []
    return [*found, Tool(BESIDE, ours, with_ansible, beside)] if beside else found


def timed(tool, folder, objects, namespace, kubeconfig):
    tool.prepare(folder, objects, namespace)
    environment = {**os.environ, "ANSIBLE_CONFIG": str(tool.root / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.minimal"}
    with (folder / "log").open("w") as log:
        began = time.monotonic()
        done = subprocess.run(
            tool.command(folder, namespace, kubeconfig),
            cwd=tool.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    seconds = time.monotonic() - began
    if done.returncode:
        sys.exit(f"{tool.name}: {(folder / 'log').read_text()[-2000:]}")
    return seconds


@contextlib.contextmanager
def peak_memory(word="AnsiballZ_release"):
    """A list whose one item is the most MiB that a process with this word in its command line, our module, has had in memory by the end."""
    seen, over = [0.0], threading.Event()

    def look():
        while not over.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError, TypeError):  # it has just ended
                    if word in (process / "cmdline").read_text():
                        seen[0] = max(seen[0], int(re.search(r"VmHWM:\s+(\d+)", (process / "status").read_text())[1]) / 1024)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def scenes(tool, objects, cluster, kubeconfig, note, own=None):
    """note(scene, work) carries each of the three out, in a namespace of its own; own(scene, seconds) hears what a module of ours took."""
    namespace = f"bench-{time.monotonic_ns() % 10**9}"
    cluster.create("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": MARK}})
    with tempfile.TemporaryDirectory() as path:
        for scene, wanted in zip(SCENES, (objects, objects, changed(objects)), strict=True):
            note(scene, lambda wanted=wanted: timed(tool, Path(path), wanted, namespace, kubeconfig))
            if own and tool.name in ITSELF:
                own(scene, own_seconds(Path(path)))


def main():
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--set", default="product", help="product, or a number of ConfigMaps")
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--kubeconfig", default="/var/lib/hsc-jit-local/kubeconfig")
    asked.add_argument("--helm", default=shutil.which("helm") or shutil.which("helm", path=str(Path.home() / "go/bin")))
    asked.add_argument("--alone", action="store_true", help="ours without the others: a minute instead of a quarter of an hour")
    asked.add_argument("--beside", type=lambda path: Path(path).resolve(), help="another checkout, measured in turns with this one")
    given = asked.parse_args()
    if given.beside and not (given.beside / ".collections/ansible_collections/hsc/jit/plugins").is_dir():
        asked.error(f"--beside {given.beside}: this checkout has no .collections yet. Run there: make env")
    objects = product() if given.set == "product" else settings(int(given.set))
    kubectl = shutil.which("kubectl") or str(Path(given.kubeconfig).parent / "bin/kubectl")
    left_out = () if given.set == "product" else SMALL_ONLY
    chosen = [
        tool for tool in tools(kubectl, given.helm, given.beside) if tool.name in ITSELF or (not given.alone and tool.name not in left_out)
    ]
    cluster, times, requests = connect({"kubeconfig": given.kubeconfig}), {}, {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # through what cleans up
    try:
        for number in range(given.rounds):
            for tool in chosen[number % len(chosen) :] + chosen[: number % len(chosen)]:
                note = lambda scene, work, tool=tool: times.setdefault((tool.name, scene), []).append(work())  # noqa: E731
                own = lambda scene, seconds, tool=tool: times.setdefault((ITSELF[tool.name], scene), []).append(seconds)  # noqa: E731
                scenes(tool, objects, cluster, given.kubeconfig, note, own)
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
        if times:
            print(table(chosen, objects, times, requests, given.rounds), flush=True)  # counting takes as long again
        with counting(given.kubeconfig) as (address, counted, _), tempfile.TemporaryDirectory() as folder:
            written_kubeconfig(proxied := Path(folder) / "kubeconfig", {}, server=address)  # the proxy has the credentials
            for tool in chosen:

                def note(scene, work, tool=tool):
                    counted.clear()
                    with peak_memory() if tool.name == OURS else contextlib.nullcontext() as memory:
                        work()
                    requests[tool.name, scene] = dict(counted)
                    most = f", {memory[0]:.0f} MiB at most" if memory else ""
                    print(f"{tool.name}, {scene}: {requests[tool.name, scene]}{most}", file=sys.stderr, flush=True)

                scenes(tool, objects, cluster, str(proxied), note)
    finally:
        for namespace in cluster.list("/api/v1/namespaces", labelSelector=",".join(f"{name}={value}" for name, value in MARK.items())):
            cluster.delete(f"/api/v1/namespaces/{namespace['metadata']['name']}")
    print(table(chosen, objects, times, requests, given.rounds))


def table(chosen, objects, times, requests, rounds):
    lines = [f"{len(objects)} objects, {rounds} rounds: median seconds (lowest to highest), ratio to ours in the same round, requests.", ""]
    lines += ["| | " + " | ".join(SCENES) + " |", "| --- |" + " --- |" * len(SCENES)]
    for name in [row for tool in chosen for row in (tool.name, ITSELF.get(tool.name)) if row]:
        cells = [cell(times.get((name, scene)), times.get((OURS, scene)), requests.get((name, scene), {})) for scene in SCENES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(seconds, ours, requests):
    count = " ".join(f"{method} {number}" for method, number in sorted(requests.items()))
    if not seconds:
        return count
    ratio = statistics.median(one / base for one, base in zip(seconds, ours, strict=True))
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), x {ratio:.2f}; {count}".rstrip("; ")


if __name__ == "__main__":
    main()
