"""A Kubernetes API server in memory, below the collection's own client: objects, errors, dry run, managedFields, LIST and WATCH, exec.

``server = MemoryApiServer(); cluster = server.cluster("hsc-jit")``. tests/contract runs the same cases against it and against a real one.
"""

import copy
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote, urlsplit

import server_side_apply as ssa
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from ansible_collections.hsc.jit.plugins.module_utils._kube.exec import ExecResult
from fake_clock import FakeClock

# apiVersion: kinds as "Kind:plural"; a "!" ends the name of a kind without a namespace.
SERVED = {
    "v1": "ConfigMap:configmaps Event:events Namespace!:namespaces Node!:nodes PersistentVolume!:persistentvolumes"
    " PersistentVolumeClaim:persistentvolumeclaims Pod:pods Secret:secrets Service:services ServiceAccount:serviceaccounts",
    "apiextensions.k8s.io/v1": "CustomResourceDefinition!:customresourcedefinitions",
    "apps/v1": "DaemonSet:daemonsets Deployment:deployments ReplicaSet:replicasets StatefulSet:statefulsets",
    "autoscaling/v2": "HorizontalPodAutoscaler:horizontalpodautoscalers",
    "batch/v1": "CronJob:cronjobs Job:jobs",
    "coordination.k8s.io/v1": "Lease:leases",
    "networking.k8s.io/v1": "Ingress:ingresses IngressClass!:ingressclasses NetworkPolicy:networkpolicies",
    "policy/v1": "PodDisruptionBudget:poddisruptionbudgets",
    "rbac.authorization.k8s.io/v1": "ClusterRole!:clusterroles ClusterRoleBinding!:clusterrolebindings Role:roles RoleBinding:rolebindings",
}
WITH_GENERATION = {"DaemonSet", "Deployment", "HorizontalPodAutoscaler", "Job", "PodDisruptionBudget", "ReplicaSet", "StatefulSet"}
IMMUTABLE = {
    "DaemonSet": ["spec.selector"], "Deployment": ["spec.selector"], "Job": ["spec.selector", "spec.template"],
    "PersistentVolumeClaim": ["spec.accessModes", "spec.storageClassName"],
    "StatefulSet": ["spec.selector", "spec.serviceName", "spec.volumeClaimTemplates"],
}  # fmt: skip
NAME = re.compile(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
PATH = re.compile(r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+)(?=/))?(?:/(?P<plural>[^/]+))?"
                  r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>.+))?")  # fmt: skip


class Refused(Exception):
    def __init__(self, status, reason, message, causes=()):
        super().__init__(message)
        details = {"causes": [{"reason": "FieldValueInvalid", "message": text, "field": path} for path, text in causes]}
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason, "message": message}
        self.status, self.body = status, {**body, "details": details}


@dataclass
class Answer:
    """What `_kube.pool.Pool.request` returns."""

    status: int
    data: bytes = b""
    stream: object = ()
    headers: dict = field(default_factory=dict)

    def parts(self):
        return iter(self.stream) if self.stream else iter([self.data])

    def close(self):
        pass


@dataclass
class Fault:
    """The next ``times`` requests that match get this answer. status 0: no connection."""

    method: str
    path: str
    status: int
    reason: str
    message: str
    times: int
    causes: tuple = ()


class MemoryCluster(Cluster):
    """The collection's client on a MemoryApiServer. Its exec is scripted."""

    def exec(self, pod, container, argv, *, stdin=b"", stdout=None, namespace=None, timeout_seconds=600.0):
        server = self.pool
        server.find("v1", "Pod", pod, namespace or self.namespace)
        server.commands.append((pod, container, list(argv)))
        for pattern, answer in server.scripts:
            if re.search(pattern, f"{pod} {container}: {' '.join(argv)}", re.DOTALL):
                result = answer(argv, stdin) if callable(answer) else answer
                if isinstance(result, Exception):
                    raise result
                result = result if isinstance(result, ExecResult) else ExecResult(0, result, "")
                if stdout is None:
                    return result
                stdout.write_bytes(result.stdout)
                return ExecResult(result.returncode, b"", result.stderr)
        raise AssertionError(f"no script for the command in {pod} {container}: {' '.join(argv)}")


class MemoryApiServer:
    def __init__(self, *objects, namespaces=("default", "hsc-jit"), now=lambda: datetime.now(UTC)):
        self.now = now  # the server's clock
        self.kinds = {}  # (apiVersion, plural) -> (kind, namespaced)
        for version, kinds in SERVED.items():
            for one in kinds.split():
                kind, plural = one.split(":")
                self.kinds[version, plural] = (kind.rstrip("!"), not kind.endswith("!"))
        self.objects = {}  # (group, plural, namespace, name) -> object
        self.version, self.history, self.oldest = 0, [], 0
        self.changed = threading.Condition(threading.RLock())
        self.requests, self.faults, self.scripts, self.commands, self.evicted = [], [], [], [], []
        self.before_write = lambda method, path: None  # another client that is faster by a moment
        self.controllers = []  # called as controller(server, object) after each write by a client
        # Paths that are not stored objects, such as a proxy's: a body, an ApiError, or f(method, query, body) that returns one of these.
        self.answers = {}
        for name in namespaces:
            self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        for obj in objects:
            self.add(obj)

    # --- what a test does ---
    def cluster(self, namespace="hsc-jit", clock=None, **more):
        return MemoryCluster("https://memory", namespace, self, dict, clock=clock or FakeClock(), **more)

    def add(self, obj, namespace="hsc-jit", manager="test"):
        """Put an object there as another client would; its status too."""
        key, kind = self._key(obj, namespace)
        new = copy.deepcopy(obj)
        if kind[1]:
            new["metadata"].setdefault("namespace", key[2])
        self._store(key, self.objects.get(key), new, manager, "Update", None)
        given = {name: obj["metadata"][name] for name in ("generation", "creationTimestamp") if name in obj["metadata"]}
        self.objects[key]["metadata"] |= given

    def find(self, api_version, kind, name, namespace="hsc-jit"):
        """The stored object. Refused: it is not there."""
        plural = next(plural for (version, plural), (known, _) in self.kinds.items() if (version, known) == (api_version, kind))
        key = (api_version.rpartition("/")[0], plural, namespace if self.kinds[api_version, plural][1] else "", name)
        if key not in self.objects:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found')
        return self.objects[key]

    def set_status(self, obj, **status):
        """As a controller does: generation and the clients' managedFields stay."""
        key, _ = self._key(obj, obj["metadata"].get("namespace", ""))
        new = copy.deepcopy(self.objects[key])
        new["status"] = {**new.get("status", {}), **status}
        self._put(key, new, "MODIFIED")

    def fail(self, status, method=".*", path=".*", reason="InternalError", message="an injected fault", times=1, causes=()):
        """causes: [(field, message)] of the server's Status."""
        self.faults.append(Fault(method, path, status, reason, message, times, causes))

    def script(self, pattern, answer):
        """exec: what a command that matches ``pod container: argv`` gives: bytes, an ExecResult, an exception, or f(argv, stdin)."""
        self.scripts.append((pattern, answer))

    def writes(self):
        """(method, path) of every request that is no read and no dry run."""
        return [(method, path) for method, path, query in self.requests if method not in ("GET",) and "dryRun" not in query]

    # --- the transport ---
    def request(self, method, target, body, headers, seconds, *, whole=True):
        parts = urlsplit(target)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        if method != "GET":
            self.before_write(method, path)
        with self.changed:
            self.requests.append((method, path, query))
            for fault in self.faults:
                if fault.times and re.fullmatch(fault.method, method) and re.search(fault.path, path):
                    fault.times -= 1
                    if not fault.status:
                        raise ConnectionRefusedError(fault.message)
                    return _refusal(Refused(fault.status, fault.reason, fault.message, fault.causes))
            try:
                if query.get("watch") == "true":
                    return Answer(200, stream=self._watch(self._place(path), query))
                result = self._serve(method, path, query, json.loads(body) if body else None, headers)
            except Refused as refused:
                return _refusal(refused)
        return Answer(200, result if isinstance(result, bytes) else json.dumps(result).encode())

    def clear(self):
        pass

    def _serve(self, method, path, query, body, headers):
        if path in self.answers:
            answer = self.answers[path]
            answer = answer(method, query, body) if callable(answer) else answer
            if isinstance(answer, ApiError):
                raise Refused(answer.status, answer.reason, answer.message)
            return answer
        if path == "/version":
            return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
        group, plural, namespace, name, sub = place = self._place(path)
        if not plural:
            return self._discovery(group)
        if (group, plural) not in self.kinds:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        if method == "GET":
            return self._list(place, query, headers) if not name else self._get(place)
        if method == "POST" and sub == "eviction":
            self.evicted.append(name)
            return self._delete((group, plural, namespace, name, ""), {})
        handler = {"POST": self._create, "PUT": self._replace, "PATCH": self._patch, "DELETE": self._delete}[method]
        if method == "DELETE":
            return self._delete(place, query)
        return handler(place, query, body, headers)

    def _place(self, path):
        match = PATH.fullmatch(path)
        if not match:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return match["core"] or match["group"], match["plural"], match["namespace"] or "", match["name"], match["sub"] or ""

    def _discovery(self, version):
        kinds = [(plural, kind) for (known, plural), kind in self.kinds.items() if known == version]
        if not kinds:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return {"kind": "APIResourceList", "resources": [{"name": plural, "kind": kind, "namespaced": ns} for plural, (kind, ns) in kinds]}

    def _of(self, place):
        version, plural, namespace, name, _ = place
        return version.rpartition("/")[0], plural, namespace, name

    def _get(self, place):
        obj = self.objects.get(self._of(place))
        if obj is None:
            raise Refused(404, "NotFound", f'{_resource(place)} "{place[3]}" not found')
        return _in_version(obj, place[0])

    def _list(self, place, query, headers):
        group, plural, namespace, _ = self._of(place)
        items = [
            _in_version(obj, place[0]) for (g, p, ns, _), obj in sorted(self.objects.items())
            if (g, p) == (group, plural) and namespace in ("", ns) and selected(obj, query)
        ]  # fmt: skip
        kind = self.kinds[place[0], plural][0]
        bare = [{name: value for name, value in item.items() if name not in ("kind", "apiVersion")} for item in items]
        if "PartialObjectMetadataList" in headers.get("Accept", ""):
            bare = [{"metadata": item["metadata"]} for item in bare]
        return {"kind": f"{kind}List", "apiVersion": place[0], "metadata": {"resourceVersion": str(self.version)}, "items": bare}

    def _create(self, place, query, body, headers):
        version, plural, *_ = place
        new = copy.deepcopy(body)
        kind, _ = self.kinds[version, plural]
        new = {"apiVersion": version, "kind": kind, **new}
        if "generateName" in new["metadata"] and not new["metadata"].get("name"):
            new["metadata"]["name"] = new["metadata"]["generateName"] + uuid.uuid4().hex[:5]
        key = (*self._of(place)[:3], new["metadata"]["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{_resource(place)} "{key[3]}" already exists')
        return self._write(key, None, new, query.get("fieldManager", "hsc.jit"), "Update", None, query)

    def _replace(self, place, query, body, headers):
        before = self._get(place)
        _same_version(place, before, body)
        return self._write(self._of(place), before, copy.deepcopy(body), query.get("fieldManager", "hsc.jit"), "Update", None, query)

    def _patch(self, place, query, body, headers):
        if "apply-patch" in headers["Content-Type"]:
            return self._apply(place, query, body)
        before = self._get(place)
        _same_version(place, before, body)
        new = _merge(copy.deepcopy(before), body)
        emptied = body.get("metadata", {}).get("managedFields")
        return self._write(
            self._of(place), before, new, query.get("fieldManager", "hsc.jit"), "Update", None, query, keep_fields=emptied is not None
        )

    def _apply(self, place, query, body):
        key, manager = self._of(place), query["fieldManager"]
        before = self.objects.get(key)
        new, conflicts = ssa.apply(before, body, manager, query.get("force") == "true")
        if conflicts:
            causes = [(_dotted(path), f'conflict with "{name}"') for path, name in conflicts]
            names = ", ".join(f'"{name}"' for name in sorted({name for _, name in conflicts}))
            message = f"Apply failed with {len(conflicts)} conflict(s): conflicts with {names}: " + ", ".join(field for field, _ in causes)
            raise Refused(409, "Conflict", message, causes)
        return self._write(key, before, new, manager, "Apply", body, query)

    def _delete(self, place, query, *_):
        key = self._of(place)
        obj = self._get(place)
        uid = obj["metadata"]["uid"]
        if obj["metadata"].get("finalizers"):
            obj["metadata"].setdefault("deletionTimestamp", self._time())
            self._put(key, obj, "MODIFIED")
            return obj
        self.version += 1
        self.objects.pop(key)
        obj["metadata"]["resourceVersion"] = str(self.version)
        self._remember("DELETED", key, obj)
        for other, owned in list(self.objects.items()):
            inside = key[1] == "namespaces" and other[2] == key[3]
            if inside or any(owner.get("uid") == uid for owner in owned["metadata"].get("ownerReferences", [])):
                self._delete(self._place_of(other, owned), {})
        return {"kind": "Status", "status": "Success"}

    def _place_of(self, key, obj):
        return obj["apiVersion"], key[1], key[2], key[3], ""

    def _time(self):
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- storage ---
    def _key(self, obj, namespace):
        version = obj["apiVersion"]
        plural, kind = next((plural, kind) for (known, plural), kind in self.kinds.items() if (known, kind[0]) == (version, obj["kind"]))
        place = (obj["metadata"].get("namespace") or namespace) if kind[1] else ""
        return (version.rpartition("/")[0], plural, place, obj["metadata"]["name"]), kind

    def _write(self, key, before, new, manager, operation, applied, query, *, keep_fields=False):
        self._check(key, before, new)
        new["metadata"]["namespace"] = key[2]
        if not key[2]:
            del new["metadata"]["namespace"]
        dry = query.get("dryRun") == "All"
        stored = self._store(key, before, new, manager, operation, applied, dry=dry, keep_fields=keep_fields)
        if not dry:
            for controller in self.controllers:
                controller(self, copy.deepcopy(self.objects.get(key, stored)))
            if stored["metadata"].get("deletionTimestamp") and not stored["metadata"].get("finalizers"):
                self._delete(self._place_of(key, stored), {})
        return stored

    def _check(self, key, before, new):
        if key[2] and ("", "namespaces", "", key[2]) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{key[2]}" not found')
        if not NAME.fullmatch(key[3]):
            name = f'{new["kind"]} "{key[3]}" is invalid: metadata.name'
            raise Refused(422, "Invalid", f"{name}: Invalid value: {key[3]!r}", [("metadata.name", "a lowercase RFC 1123 name is needed")])
        for path in IMMUTABLE.get(new["kind"], ()) if before else ():
            steps = tuple(f"f:{step}" for step in path.split("."))
            if ssa.get(before, steps) != ssa.get(new, steps):
                message = f'{new["kind"]}.{key[0]} "{key[3]}" is invalid: {path}: Invalid value: field is immutable'
                raise Refused(422, "Invalid", message, [(path, "field is immutable")])

    def _store(self, key, before, new, manager, operation, applied, *, dry=False, keep_fields=False):
        old = (before or {"metadata": {}})["metadata"]
        new["metadata"] = {
            **new["metadata"],
            "uid": old.get("uid") or str(uuid.uuid4()),
            "creationTimestamp": old.get("creationTimestamp") or self._time(),
        }
        if new["kind"] in WITH_GENERATION:
            same = before is not None and before.get("spec") == new.get("spec")
            new["metadata"]["generation"] = old.get("generation", 0) + (not same)
        if not keep_fields:
            new["metadata"].pop("managedFields", None)
            new = ssa.with_ownership(before, new, manager, operation, applied, self._time())
        if before is not None and _content(before) == _content(new):
            return copy.deepcopy(before)
        if dry:
            new["metadata"].setdefault("resourceVersion", old.get("resourceVersion", ""))
            return new
        self._put(key, new, "MODIFIED" if before is not None else "ADDED")
        if new["kind"] == "CustomResourceDefinition":
            names, scope = new["spec"]["names"], new["spec"]["scope"]
            for one in new["spec"]["versions"]:
                self.kinds[f"{new['spec']['group']}/{one['name']}", names["plural"]] = (names["kind"], scope == "Namespaced")
        return copy.deepcopy(new)

    def _put(self, key, obj, event):
        with self.changed:
            self.version += 1
            obj["metadata"]["resourceVersion"] = str(self.version)
            self.objects[key] = obj
            self._remember(event, key, obj)

    def _remember(self, event, key, obj):
        with self.changed:
            self.history.append((self.version, event, key, copy.deepcopy(obj)))
            self.changed.notify_all()

    def forget_history(self):
        """A WATCH from an older version is answered with 410 from now on."""
        with self.changed:
            self.oldest, self.history = self.version, []

    def _watch(self, place, query):
        """Lines of events after the given resourceVersion, until timeoutSeconds have passed."""
        group, plural, namespace, _ = self._of(place)
        seen, deadline = int(query.get("resourceVersion") or self.version), time.monotonic() + float(query.get("timeoutSeconds", 10))
        if seen < self.oldest:
            gone = Refused(410, "Expired", f"too old resource version: {seen} ({self.oldest})")
            return [json.dumps({"type": "ERROR", "object": gone.body}).encode() + b"\n"]

        def stream():
            nonlocal seen
            while (left := deadline - time.monotonic()) > 0:
                with self.changed:
                    events = [entry for entry in self.history if entry[0] > seen]
                    if not events:
                        self.changed.wait(left)
                        continue
                for version, event, (g, p, ns, _), obj in events:
                    seen = version
                    if (g, p) == (group, plural) and namespace in ("", ns) and selected(obj, query):
                        yield json.dumps({"type": event, "object": _in_version(obj, place[0])}).encode() + b"\n"

        return stream()


def selected(obj, query):
    """labelSelector and fieldSelector: ``a=b``, ``a!=b``, ``a in (b,c)``, ``a``."""
    labels = obj["metadata"].get("labels") or {}
    for part in re.split(r",(?![^(]*\))", query.get("labelSelector", "")):
        if part and not _matches(part.strip(), labels.get):
            return False
    for part in filter(None, query.get("fieldSelector", "").split(",")):
        if not _matches(part, lambda path: ssa.get(obj, tuple(f"f:{step}" for step in path.split(".")))):
            return False
    return True


def _matches(part, value_of):
    if match := re.fullmatch(r"(\S+) in \((.*)\)", part):
        return value_of(match[1]) in match[2].split(",")
    if match := re.fullmatch(r"([^!=]+)(!=|==|=)(.*)", part):
        return (str(value_of(match[1]) or "") == match[3]) == (match[2] != "!=")
    return value_of(part) is not None


def _refusal(refused):
    return Answer(refused.status, json.dumps(refused.body).encode())


def _resource(place):
    group = place[0].rpartition("/")[0]
    return f"{place[1]}.{group}" if group else place[1]


def _in_version(obj, version):
    return {**copy.deepcopy(obj), "apiVersion": version}


def _same_version(place, before, body):
    given = (body.get("metadata") or {}).get("resourceVersion")
    if given and given != before["metadata"]["resourceVersion"]:
        message = (
            f'Operation cannot be fulfilled on {_resource(place)} "{place[3]}": the object has been modified; please apply your changes'
        )
        raise Refused(409, "Conflict", message)


def _merge(value, changes):
    """RFC 7386."""
    if not isinstance(changes, dict):
        return changes
    result = value if isinstance(value, dict) else {}
    for name, change in changes.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = _merge(result.get(name), change)
    return result


def _content(obj):
    """What a write changes: all but the version and the moments in managedFields."""
    entries = [{name: value for name, value in entry.items() if name != "time"} for entry in obj["metadata"].get("managedFields", [])]
    metadata = {name: value for name, value in obj["metadata"].items() if name not in ("resourceVersion", "managedFields")}
    return {**obj, "metadata": metadata}, sorted(entries, key=lambda entry: (entry["manager"], entry["operation"]))


def _dotted(path):
    return "".join(f".{step[2:]}" if step.startswith("f:") else f"[{step[2:]}]" for step in path)
