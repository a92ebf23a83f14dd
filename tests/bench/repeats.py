"""How often is kept what a test tries once? The product's objects, their pods left out, in namespaces of their own.

    PYTHONPATH=.collections .venv/bin/python tests/bench/repeats.py

unchanged   The release is carried out again and again (50 times), with an autoscaled Deployment that somebody else has set to 7 pods: how
            often was nothing changed, nothing sent that could change anything, and every resourceVersion and the 7 as before? Of an
            autoscaler, whose status its controller writes when it likes, all that we own.
predicted   A random edit of one to six objects (40 of them, seed 7; some come, some go), first with check mode and then in earnest: how
            often did check mode write nothing and say what was then done, by what it said and by what lies in the cluster?
refused     A playbook has the lease, and another one wants it (100 times): how often was it refused within 3 s and told who is at work?
blamed      A canary that is as good as the stable release (2,000 simulated minutes at 50 pairs a second; 0, 1 and 20 % of all answers are
            errors): how seldom was it blamed? And after how long is one with 5 % errors?

It ends with 1 if one of the first three was not kept each time, or more than one canary in a hundred was blamed.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.hsc.jit.plugins.module_utils._kube import objects as kube_objects
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from ansible_collections.hsc.jit.plugins.module_utils._lease.lease import Slot
from apply import product

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/integration"), str(ROOT / "tests/faults")]
from counting_proxy import counting  # noqa: E402
from leased import leased  # noqa: E402
from private_namespace import private_namespace  # noqa: E402
from ready import sandbox_image, workload  # noqa: E402
from simulated_canary import PAIRS, looked_at  # noqa: E402
from small_release import run, stamped, writes  # noqa: E402
from waiting import until  # noqa: E402
from written_kubeconfig import written_kubeconfig  # noqa: E402

PATHS = ("/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/apis/networking.k8s.io/v1", "/apis/policy/v1", "/apis/autoscaling/v2")


def ours(cluster):
    """What lies in the namespace and was applied by a release, by title."""
    found = {}
    for path in PATHS:
        for kind in cluster.get(path)["resources"]:
            if kind["namespaced"] and {"list", "patch"} <= set(kind["verbs"]):
                found |= {kube_objects.title(one): one for one in cluster.list(cluster.namespaced(kind["name"], path))}
    applied = {title: one for title, one in found.items() if kube_objects.HASH in (one["metadata"].get("annotations") or {})}
    return {title: one for title, one in applied.items() if not one["metadata"].get("ownerReferences")}  # a ReplicaSet inherits it


def autoscaled(image):
    """A Deployment, and an autoscaler that has no metrics to go by and so leaves alone what lies between its bounds."""
    deployment = workload("scaled", image)
    deployment["spec"] |= {"replicas": 2, "minReadySeconds": 0}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "scaled"}
    spec = {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9}
    return [deployment, {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "scaled"}, "spec": spec}]


def unchanged(kubeconfig, times):
    with private_namespace(kubeconfig, "bench") as cluster:
        objects = stamped([*product(), *autoscaled(sandbox_image(cluster))], cluster.namespace)
        path = cluster.namespaced("deployments", "/apis/apps/v1") + "/scaled"
        run(cluster, "present", objects=objects)
        cluster.patch_merge(f"{path}/scale", {"spec": {"replicas": 7}}, fieldManager="somebody")
        run(cluster, "present", objects=objects)  # waits for the seven
        kept, took = 0, []
        for number in range(times):
            before, sent = versions(cluster), writes(cluster)
            outcome, seconds = run(cluster, "present", objects=objects)
            good = [one.verdict for one in outcome.findings] == ["pass", "pass"] and outcome.before == outcome.after == {}
            seven = cluster.get(path)["spec"]["replicas"] == 7
            kept += good and seven and sent == writes(cluster) and before == versions(cluster)
            took.append(seconds)
            told("unchanged", number, times, kept)
        print(f"unchanged: {kept} of {times}, {len(objects)} objects, {spread(took)}")
    return kept == times


def versions(cluster):
    """By title what a write would change. The status of an autoscaler is written by its controller when it likes."""
    return {
        title: contents_of(one) if one["kind"] == "HorizontalPodAutoscaler" else one["metadata"]["resourceVersion"]
        for title, one in ours(cluster).items()
    }


def label(chance, objects):
    chance.choice(objects)["metadata"].setdefault("labels", {})["round"] = str(chance.random())


def data(chance, objects):
    chance.choice([one for one in objects if one["kind"] == "ConfigMap"])["data"]["round"] = str(chance.random())


def schedule(chance, objects):
    chance.choice([one for one in objects if one["kind"] == "CronJob"])["spec"]["schedule"] = f"{chance.randrange(60)} 3 * * *"


def container(chance, objects):
    chosen = chance.choice([one for one in objects if one["kind"] == "Deployment"])
    chosen["spec"]["template"]["spec"]["containers"][0].setdefault("env", []).append({"name": f"E{chance.randrange(10**9)}", "value": "1"})


def default(chance, objects):
    """What the server would have put there by itself: only who owns the field changes."""
    chance.choice([one for one in objects if one["kind"] == "Deployment"])["spec"]["progressDeadlineSeconds"] = 600


def new(chance, objects):
    name, spec = f"new-{chance.randrange(10**9)}", {"selector": {"app": "none"}, "ports": [{"port": 80}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    objects.append(chance.choice([service, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}]))


def gone(chance, objects):
    """Not a volume: nothing of ours takes one away."""
    objects.remove(chance.choice([one for one in objects if one["kind"] in ("Service", "NetworkPolicy", "ServiceAccount")]))


EDITS = (label, data, schedule, container, default, new, gone)


def predicted(kubeconfig, times):
    chance, objects, kept, counted = random.Random(7), product(), 0, 0
    with (
        private_namespace(kubeconfig, "bench") as direct,
        counting(kubeconfig) as (address, _, sent),
        tempfile.TemporaryDirectory() as folder,
    ):
        written_kubeconfig(proxied := Path(folder) / "kubeconfig", {}, server=address)  # the proxy has the credentials
        cluster = connect({"kubeconfig": str(proxied), "namespace": direct.namespace})
        run(cluster, "present", objects=stamped(objects, cluster.namespace))
        for number in range(times):
            for _ in range(chance.randint(1, 6)):
                chance.choice(EDITS)(chance, objects)
            wanted, before = stamped(objects, cluster.namespace), contents(direct)
            sent.clear()
            said, _ = run(cluster, "present", objects=wanted, check_mode=True)
            silent = sent == [] and contents(direct) == before
            done, _ = run(cluster, "present", objects=wanted)
            actual = differing(before, contents(direct))
            same = (said.before, said.after) == (done.before, done.after) and {one.split(": ")[0] for one in said.after} == actual
            kept, counted = kept + (silent and same), counted + len(actual)
            told("predicted", number, times, kept)
    print(f"predicted: {kept} of {times}, {counted} objects changed")
    return kept == times


def contents(cluster):
    return {title: contents_of(one) for title, one in ours(cluster).items()}


def contents_of(one):
    """What nobody but an object's writers changes: not its status, nor what the server counts and dates."""
    metadata = one["metadata"]
    annotations = {name: value for name, value in metadata["annotations"].items() if not name.startswith("deployment.kubernetes.io/")}
    fields = [entry["fieldsV1"] for entry in metadata["managedFields"] if entry["manager"] == "hsc.jit"]
    body = {name: value for name, value in one.items() if name not in ("metadata", "status")}
    return json.dumps([body, metadata.get("labels"), annotations, fields], sort_keys=True)


def differing(before, after):
    return {title for title in before.keys() | after.keys() if before.get(title) != after.get(title)}


def refused(kubeconfig, times):
    kept, took = 0, []
    with private_namespace(kubeconfig, "bench") as cluster, tempfile.TemporaryDirectory() as folder:
        slot = Slot(cluster.namespace, "bench", 20)
        with leased(kubeconfig, slot, Path(folder), "first", 3600) as (_, result):
            until(result.exists, 30)
            for number in range(times):
                began = time.monotonic()
                with leased(kubeconfig, slot, Path(folder), "second", 0) as (second, _):
                    output, _ = second.communicate(timeout=60)
                took.append(time.monotonic() - began)
                kept += second.returncode == 2 and "/first is at work since" in output and took[-1] <= 3
                told("refused", number, times, kept)
    print(f"refused: {kept} of {times} within 3 s, the whole playbook {spread(took)}")
    return kept == times


def blamed(_kubeconfig, times):
    least = times
    for share in (0.0, 0.01, 0.2):
        chance = random.Random(7)
        fair = sum(looked_at(chance, share, share) is None for _ in range(times))
        least = min(least, fair)
        print(f"blamed: {times - fair} of {times} where {share:.0%} of both are errors")
    chance = random.Random(7)
    seen = sorted((looked_at(chance, 0.0, 0.05) or PAIRS) / 50 for _ in range(times))
    print(f"blamed: one with 5 % errors after {statistics.median(seen):.1f} s (p95 {seen[int(times * 0.95)]:.1f})")
    return least >= times * 0.99


def told(name, number, times, kept):
    print(f"{name} {number + 1} of {times}: {kept} kept", file=sys.stderr, flush=True)


def spread(seconds):
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


TIMES = {"unchanged": (unchanged, 50), "predicted": (predicted, 40), "refused": (refused, 100), "blamed": (blamed, 2000)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", help=f"{', '.join(TIMES)}; all of them if none is named")
    parser.add_argument("--kubeconfig", default="/var/lib/hsc-jit-local/kubeconfig")
    parser.add_argument("--times", type=int, help="instead of each one's own number")
    chosen = parser.parse_args()
    if unknown := set(chosen.which) - set(TIMES):
        parser.error(f"{', '.join(unknown)} is none of {', '.join(TIMES)}")
    kept = [work(chosen.kubeconfig, chosen.times or times) for name, (work, times) in TIMES.items() if name in (chosen.which or TIMES)]
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
