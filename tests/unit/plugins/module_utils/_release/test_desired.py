"""Desired objects: their hash, their waves, and when a live object still equals one."""

from ansible_collections.hsc.jit.plugins.module_utils._kube.objects import ownership
from ansible_collections.hsc.jit.plugins.module_utils._product import HASH
from ansible_collections.hsc.jit.plugins.module_utils._release import desired


def obj(kind="ConfigMap", name="a", wave=None, **more):
    metadata = {"name": name, **({"annotations": {"hsc.jit/wave": wave}} if wave else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **more}


def test_the_mark_is_the_hash_of_the_manifest_and_of_nothing_else():
    one, other = desired.marked(obj(data={"a": "1"})), desired.marked(obj(data={"a": "2"}))
    assert one["metadata"]["annotations"][HASH] != other["metadata"]["annotations"][HASH]
    assert desired.marked(one) == one
    given = obj(data={"a": "1"})
    assert desired.marked(given)["metadata"]["annotations"] == {HASH: "f19ad12ac76a3ff9dd4b21fd6ee74e61"}, (
        "else an update changes every object"
    )
    assert given == obj(data={"a": "1"}), "the argument stays as it was"


def test_waves_in_order_and_unnamed_last():
    waves = desired.waves([obj(name="c"), obj(name="b", wave="20-x"), obj(name="a", wave="10-y")])
    assert [[one["metadata"]["name"] for one in wave] for wave in waves] == [["a"], ["b"], ["c"]]
    assert desired.component(obj(wave="20-data-stores")) == "data-stores"


def test_surely_unchanged_needs_the_hash_and_every_field():
    wanted = desired.marked(obj(data={"a": "1"}))
    live = {**desired.marked(obj(data={"a": "1"})), "apiVersion": "v1", "status": {}}
    assert unchanged(live, wanted)
    assert not unchanged(None, wanted)
    assert not unchanged({**live, "data": {"a": "changed by hand"}}, wanted)
    assert not unchanged(live, desired.marked(obj(data={})))


def unchanged(live, wanted, owned=""):
    return desired.surely_unchanged(live, wanted, owned, "hsc.jit")


def test_surely_unchanged_by_the_fields_that_we_still_own():
    """The server writes 1000m as 1: no value proves it, our entry does; whoever takes a field out of it is seen."""
    wanted = desired.marked(obj(spec={"cpu": "1000m"}))
    live = {**desired.marked(obj(spec={"cpu": "1000m"})), "spec": {"cpu": "1"}}
    live["metadata"]["managedFields"] = [{"manager": "hsc.jit", "operation": "Apply", "fieldsV1": {"f:spec": {"f:cpu": {}}}}]
    owned = ownership(live, "hsc.jit")
    assert not unchanged(live, wanted)
    assert unchanged(live, wanted, owned)
    assert not unchanged(live, desired.marked(obj(spec={"cpu": "2"})), owned)
    live["metadata"]["managedFields"][0]["fieldsV1"] = {"f:spec": {}}
    assert not unchanged(live, wanted, owned)


def test_a_secrets_values_are_never_shown_but_a_change_is():
    one, other = (desired.cleaned(obj("Secret", data={"key": value})) for value in ("cGFzcw==", "b3RoZXI="))
    assert "cGFzcw" not in str(one)
    assert one != other
