"""Server-side apply in memory: which manager owns which field, and what a patch changes.

A field set is a set of paths. A path is a tuple of steps as in fieldsV1: ``f:spec`` for a field, ``k:{"name":"web"}`` for a list element.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

import copy
import json

# Lists whose elements are merged by key; any other list is one value.
LIST_KEYS = {
    "conditions": ("type",), "containers": ("name",), "env": ("name",), "imagePullSecrets": ("name",), "initContainers": ("name",),
    "ownerReferences": ("uid",), "volumeMounts": ("mountPath",), "volumes": ("name",),
}  # fmt: skip
UNOWNED = {"apiVersion", "kind"}
SERVERS = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "deletionTimestamp"}


def key_step(field, element):
    """``k:{...}`` of an element, or None if the list is one value."""
    if field == "ports" and isinstance(element, dict):
        name = "containerPort" if "containerPort" in element else "port"
        return "k:" + json.dumps({name: element.get(name), "protocol": element.get("protocol", "TCP")}, separators=(",", ":"))
    keys = LIST_KEYS.get(field)
    if not keys or not isinstance(element, dict) or any(key not in element for key in keys):
        return None
    return "k:" + json.dumps({key: element[key] for key in keys}, separators=(",", ":"))


def paths(value, path=(), field=""):
    """Every leaf of a manifest; an element of a keyed list is a leaf as well."""
    if isinstance(value, dict) and value:
        found = set()
        for name, inner in value.items():
            if (not path and name in UNOWNED) or (path == ("f:metadata",) and name in SERVERS):
                continue
            found |= paths(inner, (*path, f"f:{name}"), name)
        return found
    if isinstance(value, list) and value and all(key_step(field, element) for element in value):
        found = set()
        for element in value:
            step = (*path, key_step(field, element))
            found |= {step} | paths(element, step)
        return found
    return {path} if path else set()


def get(obj, path):
    """The value at a path; None if it is not there."""
    field = ""
    for step in path:
        if step.startswith("f:"):
            field = step[2:]
            obj = obj.get(field) if isinstance(obj, dict) else None
        else:
            obj = next((element for element in obj or () if key_step(field, element) == step), None)
        if obj is None:
            return None
    return obj


def put(obj, path, value):
    """Set the value at a path, and make what leads there."""
    field = ""
    for number, step in enumerate(path):
        last = number == len(path) - 1
        if step.startswith("f:"):
            field = step[2:]
            if last:
                obj[field] = copy.deepcopy(value)
            else:
                empty = [] if path[number + 1].startswith("k:") else {}
                obj = obj.setdefault(field, empty) if obj.get(field) is not None else obj.__setitem__(field, empty) or obj[field]
        else:
            element = next((one for one in obj if key_step(field, one) == step), None)
            if element is None:
                element = json.loads(step[2:])
                obj.append(element)
            obj = element


def remove(obj, path):
    """Delete the value at a path, and what is empty then."""
    parent = get(obj, path[:-1]) if len(path) > 1 else obj
    if parent is None:
        return
    step = path[-1]
    if step.startswith("f:"):
        parent.pop(step[2:], None)
    else:
        field = path[-2][2:]
        parent[:] = [element for element in parent if key_step(field, element) != step]


def encode(field_set):
    """As fieldsV1."""
    tree = {}
    for path in sorted(field_set):
        inner = tree
        for step in path:
            inner = inner.setdefault(step, {})
        if path[-1].startswith("k:"):
            inner["."] = {}
    return tree


def decode(tree, path=()):
    found = set()
    for step, inner in tree.items():
        if step == ".":
            found.add(path)
        elif inner:
            found |= decode(inner, (*path, step))
        else:
            found.add((*path, step))
    return found


def owned(obj, manager, operation):
    """The field set of one manager; empty if it has none."""
    for entry in obj["metadata"].get("managedFields", []):
        if (entry["manager"], entry["operation"]) == (manager, operation):
            return decode(entry["fieldsV1"])
    return set()


def owners(obj):
    return [(entry["manager"], entry["operation"], decode(entry["fieldsV1"])) for entry in obj["metadata"].get("managedFields", [])]


def apply(live, applied, manager, force):
    """(the object after the patch, conflicts). live: None to create. conflicts: [(path, manager)]; with one, nothing is to change."""
    wanted = paths(applied)
    if live is None:
        result = copy.deepcopy(applied)
        result["metadata"].pop("managedFields", None)
        return result, []
    before = owned(live, manager, "Apply")
    others = [(name, operation, fields) for name, operation, fields in owners(live) if (name, operation) != (manager, "Apply")]
    conflicts = [
        (path, name) for name, _, fields in others for path in sorted(wanted & fields) if get(live, path) != get(applied, path)
    ]  # fmt: skip
    if conflicts and not force:
        return live, conflicts
    result = copy.deepcopy(live)
    held = set().union(*(fields for _, _, fields in others)) if others else set()
    for path in sorted(before - wanted - held, key=len):  # an element before the fields in it
        remove(result, path)
    for path in sorted(wanted):
        value = get(applied, path)
        there = get(result, path) is not None
        if not (there and (path[-1].startswith("k:") or value == {})):
            put(result, path, value)
    return result, []


def changed_paths(before, after):
    """Leaves whose value differs: what an update owns afterwards."""
    return {path for path in paths(before) | paths(after) if get(before, path) != get(after, path)}


def with_ownership(before, after, manager, operation, applied, time):
    """``after`` with new managedFields. applied: the manifest of an apply; None for an update, which owns what it changed."""
    changed = changed_paths(before or {"metadata": {}}, after)
    mine = paths(applied) if applied is not None else (owned(before, manager, operation) if before else set()) | changed
    entries = []
    for entry in (before or {"metadata": {}})["metadata"].get("managedFields", []):
        if (entry["manager"], entry["operation"]) == (manager, operation):
            continue
        fields = {path for path in decode(entry["fieldsV1"]) if path not in changed}
        if fields:
            entries.append({**entry, "fieldsV1": encode(fields)})
    mine = {path for path in mine if get(after, path) is not None or path in paths(after)}
    if mine:
        new = {"manager": manager, "operation": operation, "apiVersion": after["apiVersion"], "time": time, "fieldsType": "FieldsV1"}
        entries.append({**new, "fieldsV1": encode(mine)})
    after["metadata"]["managedFields"] = entries
    return after
