"""What an API server does, asked of the one in memory and of a real one: unit tests may rely on every line here."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._poll import poll
from memory_api import MemoryApiServer

LABELS = {"app": "web", "tier": "front"}


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.cluster)])
def api(request):
    """The collection's client in a namespace of its own."""
    return (
        MemoryApiServer(namespaces=("contract",)).cluster("contract") if request.param == "memory" else request.getfixturevalue("cluster")
    )


def config(name="settings", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": LABELS}, "data": data}


def deployment(*containers, replicas=0, app="web"):
    spec = {"containers": [{"name": name, "image": image} for name, image in containers]}
    template = {"metadata": {"labels": {"app": app}}, "spec": spec}
    wanted = {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": wanted}


def configs(api, name=""):
    return api.namespaced("configmaps") + (f"/{name}" if name else "")


def deployments(api, name=""):
    return api.namespaced("deployments", "/apis/apps/v1") + (f"/{name}" if name else "")


def refusal(call, *args, **kwargs):
    with pytest.raises(ApiError) as caught:
        call(*args, **kwargs)
    return caught.value


def test_missing_object_is_404(api):
    error = refusal(api.get, configs(api, "nobody"))
    assert (error.status, error.reason, error.message) == (404, "NotFound", 'configmaps "nobody" not found')
    assert api.find(configs(api, "nobody")) is None
    assert refusal(api.get, deployments(api, "nobody")).message == 'deployments.apps "nobody" not found'


def test_create_twice_is_409(api):
    created = api.create(configs(api), config(a="1"))
    assert created["metadata"]["uid"] and created["metadata"]["namespace"] == api.namespace
    error = refusal(api.create, configs(api), config(a="2"))
    assert (error.status, error.reason) == (409, "AlreadyExists")
    assert api.get(configs(api, "settings"))["data"] == {"a": "1"}


def test_create_in_a_missing_namespace_is_404(api):
    error = refusal(api.create, "/api/v1/namespaces/no-such-namespace/configmaps", config())
    assert (error.status, error.message) == (404, 'namespaces "no-such-namespace" not found')


def test_invalid_object_is_422_and_names_the_field(api):
    error = refusal(api.create, configs(api), config("Not_A_Name"))
    assert (error.status, error.reason) == (422, "Invalid")
    assert [cause["field"] for cause in error.causes] == ["metadata.name"]


def test_immutable_field_is_422(api):
    api.create(deployments(api), deployment(("web", "a")))
    error = refusal(api.replace, deployments(api, "web"), deployment(("web", "a"), app="other"))
    assert error.status == 422 and "field is immutable" in error.message


def test_dry_run_changes_nothing(api):
    api.create(configs(api), config("dry"), dryRun="All")
    assert api.find(configs(api, "dry")) is None
    made = api.create(configs(api), config(a="1"))
    tried = api.patch_apply(configs(api, "settings"), config(a="2"), "other", force=True, dry_run=True)
    assert tried["data"] == {"a": "2"}
    assert api.get(configs(api, "settings")) == {**made, "kind": "ConfigMap", "apiVersion": "v1"}


def test_replace_of_an_older_version_is_409(api):
    old = api.create(configs(api), config(a="1"))
    api.patch_merge(configs(api, "settings"), {"data": {"a": "2"}})
    error = refusal(api.replace, configs(api, "settings"), {**old, "data": {"a": "3"}})
    assert (error.status, error.reason) == (409, "Conflict") and "the object has been modified" in error.message


def test_merge_patch_removes_by_null_and_writes_nothing_where_nothing_changes(api):
    api.create(configs(api), config(a="1", b="2"))
    patched = api.patch_merge(configs(api, "settings"), {"data": {"a": None, "c": "3"}})
    assert patched["data"] == {"b": "2", "c": "3"}
    again = api.patch_merge(configs(api, "settings"), {"data": {"c": "3"}})
    assert again["metadata"]["resourceVersion"] == patched["metadata"]["resourceVersion"]


def test_generation_counts_changes_of_the_spec_alone(api):
    api.create(deployments(api), deployment(("web", "a")))
    labelled = api.patch_merge(deployments(api, "web"), {"metadata": {"labels": {"x": "y"}}})
    assert labelled["metadata"]["generation"] == 1
    assert api.patch_merge(deployments(api, "web"), {"spec": {"minReadySeconds": 1}})["metadata"]["generation"] == 2


# --- server-side apply ---
def test_apply_creates_and_a_second_apply_writes_nothing(api):
    first = api.patch_apply(configs(api, "settings"), config(a="1"), "one")
    again = api.patch_apply(configs(api, "settings"), config(a="1"), "one")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    (entry,) = first["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"]) == ("one", "Apply")
    assert "f:a" in entry["fieldsV1"]["f:data"]


def test_apply_removes_what_it_owned_and_leaves_what_others_own(api):
    api.patch_apply(configs(api, "settings"), config(a="1", b="2"), "one")
    api.patch_apply(configs(api, "settings"), config(c="3"), "two")
    assert api.patch_apply(configs(api, "settings"), config(a="1"), "one")["data"] == {"a": "1", "c": "3"}


def test_apply_of_anothers_field_is_a_conflict_until_it_is_forced(api):
    api.patch_apply(configs(api, "settings"), config(a="1", b="2"), "one")
    error = refusal(api.patch_apply, configs(api, "settings"), config(a="9"), "two")
    assert (error.status, error.reason) == (409, "Conflict")
    assert [cause["field"] for cause in error.causes] == [".data.a"] and '"one"' in error.causes[0]["message"]
    forced = api.patch_apply(configs(api, "settings"), config(a="9"), "two", force=True)
    assert forced["data"] == {"a": "9", "b": "2"}
    assert owners(forced, "f:a") == ["two"] and owners(forced, "f:b") == ["one"]


def test_equal_values_are_owned_together(api):
    api.patch_apply(configs(api, "settings"), config(a="1"), "one")
    shared = api.patch_apply(configs(api, "settings"), config(a="1"), "two")
    assert sorted(owners(shared, "f:a")) == ["one", "two"]
    assert api.patch_apply(configs(api, "settings"), config(), "one")["data"] == {"a": "1"}


def owners(obj, key):
    return [entry["manager"] for entry in obj["metadata"]["managedFields"] if key in entry["fieldsV1"].get("f:data", {})]


def test_an_update_takes_the_fields_that_it_changes(api):
    api.patch_apply(configs(api, "settings"), config(a="1", b="2"), "one")
    edited = api.patch_merge(configs(api, "settings"), {"data": {"a": "9"}}, fieldManager="kubectl-edit")
    assert owners(edited, "f:a") == ["kubectl-edit"] and owners(edited, "f:b") == ["one"]
    assert refusal(api.patch_apply, configs(api, "settings"), config(a="1", b="2"), "one").status == 409


def test_containers_are_merged_by_name(api):
    api.patch_apply(deployments(api, "web"), deployment(("web", "a"), ("sidecar", "b")), "one")
    changed = api.patch_apply(deployments(api, "web"), deployment(("web", "c")), "one")
    assert [(one["name"], one["image"]) for one in changed["spec"]["template"]["spec"]["containers"]] == [("web", "c")]


# --- lists and watches ---
def test_selectors(api):
    for name, tier in (("a", "front"), ("b", "back"), ("c", None)):
        labels = {"app": "web", **({"tier": tier} if tier else {})}
        api.create(configs(api), {**config(name), "metadata": {"name": name, "labels": labels}})

    def found(**query):
        return [item["metadata"]["name"] for item in api.list(configs(api), **query) if item["metadata"]["name"] != "kube-root-ca.crt"]

    assert found(labelSelector="app=web,tier=front") == ["a"]
    assert found(labelSelector="tier!=front") == ["b", "c"]
    assert found(labelSelector="tier in (front,back)") == ["a", "b"]
    assert found(labelSelector="tier") == ["a", "b"]
    assert found(fieldSelector="metadata.name=b") == ["b"]
    assert api.names(configs(api)) >= {"a", "b", "c"}
    assert {(item["kind"], item["apiVersion"]) for item in api.list(configs(api))} == {("ConfigMap", "v1")}


def test_watch_goes_on_from_a_list(api):
    api.create(configs(api), config("before"))
    _, version = api.list_at(configs(api), labelSelector="app=web")
    api.create(configs(api), config(a="1"))
    api.patch_merge(configs(api, "settings"), {"data": {"a": "2"}})
    api.delete(configs(api, "settings"))
    events = []
    for event in api.watch(configs(api), 5, resourceVersion=version, labelSelector="app=web"):
        events.append((event["type"], event["object"]["metadata"]["name"], event["object"].get("data")))
        if len(events) == 3:
            break
    data = [("ADDED", "settings", {"a": "1"}), ("MODIFIED", "settings", {"a": "2"}), ("DELETED", "settings", {"a": "2"})]
    assert events == data


def test_watch_ends_by_itself(api):
    assert list(api.watch(configs(api), 1, labelSelector="app=nobody")) == []


# --- deletion ---
def test_delete_says_whether_it_was_there(api):
    api.create(configs(api), config())
    assert api.delete(configs(api, "settings")) is True
    assert api.delete(configs(api, "settings")) is False


def test_a_finalizer_holds_a_deleted_object(api):
    held = config()
    held["metadata"] = {**held["metadata"], "finalizers": ["example.com/hold"]}
    api.create(configs(api), held)
    assert api.delete(configs(api, "settings")) is True
    assert api.get(configs(api, "settings"))["metadata"]["deletionTimestamp"]
    api.patch_merge(configs(api, "settings"), {"metadata": {"finalizers": None}})
    assert api.find(configs(api, "settings")) is None


def test_what_an_object_owns_goes_with_it(api):
    owner = api.create(configs(api), config("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    api.create(configs(api), {**config("owned"), "metadata": {"name": "owned", "ownerReferences": [reference]}})
    api.delete(configs(api, "owner"))
    assert poll(lambda: api.find(configs(api, "owned")) is None, 30)


def test_served_kinds_are_listed(api):
    resources = {one["kind"]: (one["name"], one["namespaced"]) for one in api.get("/apis/apps/v1")["resources"] if "/" not in one["name"]}
    assert resources["Deployment"] == ("deployments", True)
    assert refusal(api.get, "/apis/example.com/v9").status == 404
