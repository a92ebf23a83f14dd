"""A release small enough to be broken many times a minute: two web pods behind a Service, a store with its own volume, settings.

The engine that carries it out is the one of ``hsc.jit.release``; images are those of the deployed product.
"""

import copy
import time

from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import manifests
from ansible_collections.hsc.jit.plugins.module_utils._release.engine import Engine
from ansible_collections.hsc.jit.plugins.modules.release import SPEC

DEFAULTS = {"journal": None, **{name: option.get("default") for name, option in SPEC.items()}, "wait_seconds": 60.0}
POD = {"runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
SERVE = """
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(os.environ.get("ANSWER", "200")))
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""


def run(cluster, state, *, check_mode=False, **params):
    """(Outcome, seconds) of one call of the release module's work."""
    started = time.monotonic()
    outcome = getattr(Engine(Context({**DEFAULTS, **params}, check_mode, Progress(), cluster)), state)()
    return outcome, time.monotonic() - started


def stamped(objects, namespace):
    """The objects as a release has them: copied, with their wave, namespace, labels and hash."""
    return manifests.complete([(str(n), manifests.stamp(copy.deepcopy(obj), "30-workloads", namespace)) for n, obj in enumerate(objects)])


def versions(cluster):
    """By uid what a write would have counted up; a controller's own status does not count where there is a generation."""
    kinds = {"/api/v1": ("configmaps", "secrets", "services"), "/apis/apps/v1": ("deployments", "statefulsets")}
    return {
        item["metadata"]["uid"]: item["metadata"].get("generation") or item["metadata"]["resourceVersion"]
        for api, plurals in kinds.items()
        for plural in plurals
        for item in cluster.list(cluster.namespaced(plural, api))
    }


def writes(cluster):
    """How many requests that may change something were sent through this connection, by method. A dry run is one of them."""
    return {method: count for method, count in cluster.requests.items() if method != "GET"}


def python(code):
    return ["python", "-u", "-c", code]


def container(image, **more):
    body = {
        "name": "web",
        "image": image,
        "command": python(SERVE),
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1, "timeoutSeconds": 2},
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": CONTAINER,
    }
    return {name: value for name, value in {**body, **more}.items() if value is not None}


class Small:
    """The objects as dicts, to be broken: ``web``, ``store``, ``settings``, ``service``; and whatever is put into ``more``."""

    def __init__(self, image):
        self.image = image
        self.settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"ANSWER": "200"}}
        self.service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 8000}]},
        }
        self.web = self.workload("Deployment", "web", container(image), 2)
        self.web["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        store = container(image, name="store", volumeMounts=[{"name": "data", "mountPath": "/data"}])
        self.store = self.workload("StatefulSet", "store", store, 1)
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
        self.store["spec"] |= {"serviceName": "store", "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}]}
        self.more = []

    @staticmethod
    def workload(kind, name, one, replicas):
        pod = {"securityContext": POD, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False, "containers": [one]}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {"spec": pod}}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    def job(self, *command, **spec):
        """A Job of the release that runs these words of Python."""
        one = container(self.image, name="job", command=python(*command), envFrom=None, ports=None, readinessProbe=None)
        pod = {"securityContext": POD, "restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [one]}
        body = {"backoffLimit": 0, "template": {"spec": pod}, **spec}
        self.more.append({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": body})

    def alone(self, name):
        """A Deployment of one pod that tolerates no other of its kind on its node."""
        obj = self.workload("Deployment", name, container(self.image), 1)
        rule = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": name}}}
        obj["spec"]["template"]["spec"]["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
        self.more.append(obj)
        return obj

    @property
    def pod(self):
        """The web pods' spec."""
        return self.web["spec"]["template"]["spec"]

    @property
    def one(self):
        """The web pods' container."""
        return self.pod["containers"][0]

    def objects(self, namespace):
        return stamped([self.settings, self.service, self.store, self.web, *self.more], namespace)
