"""What makes objects out of rendered text: labels, namespaces, hashes; and the errors that name file and field."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ManifestError
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._release import manifests as m

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    spec:
      containers: [{name: web, image: x, envFrom: [{configMapRef: {name: settings}}]}]
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {A: '%s'}\n"


def build(*texts):
    parsed = [(f"10-config/{number}.yml.j2", m.parse(text, "f")) for number, text in enumerate(texts)]
    return m.complete([(source, m.stamp(obj, "30-workloads", "ns")) for source, obj in parsed])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [", "no YAML"),
        ("kind: A\n---\nkind: B\n", "2 objects"),
        ("kind: A\nmetadata: {name: x}\n", "field apiVersion is missing"),
        ("apiVersion: v1\nkind: A\nmetadata: {labels: {}}\n", "field metadata"),
        ("apiVersion: v1\nkind: A\nmetadata: {name: x}\nspec: {list: [{image: }]}\n", "field spec.list[0].image has no value"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {key: hidden}\n", "release_secret_values"),
        ("just text", "field apiVersion is missing"),
    ],
)
def test_errors_name_file_and_field(text, words):
    with pytest.raises(ManifestError) as error:
        m.parse(text, "30-workloads/web.yml.j2")
    assert words in str(error.value)
    assert "30-workloads/web.yml.j2" in str(error.value)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_a_file_that_renders_to_nothing_is_no_object(text):
    assert m.parse(text, "f") is None


def test_dates_stay_text():
    assert m.parse("apiVersion: v1\nkind: A\nmetadata: {name: x}\nday: 2026-11-24\n", "f")["day"] == "2026-11-24"


def test_every_pod_has_the_fields_that_the_environment_gives_beside_its_own():
    given = {"imagePullSecrets": [{"name": "registry"}], "priorityClassName": "high"}
    own = m.parse(DEPLOYMENT.replace("spec:\n      containers", "spec:\n      priorityClassName: low\n      containers"), "f")
    spec = m.stamp(own, "30-workloads", "ns", given)["spec"]["template"]["spec"]
    assert (spec["imagePullSecrets"], spec["priorityClassName"], len(spec["containers"])) == ([{"name": "registry"}], "low", 1)
    assert "imagePullSecrets" not in m.stamp(m.parse(CONFIG % 1, "f"), "10-config", "ns", given)


def test_labels_namespace_and_wave_come_from_one_place():
    (obj,) = build(DEPLOYMENT)
    assert obj["metadata"]["namespace"] == "ns"
    assert obj["metadata"]["annotations"] == {"hsc.jit/wave": "30-workloads"}
    labels = obj["spec"]["template"]["metadata"]["labels"]
    assert labels["app"] == "web"
    assert labels["app.kubernetes.io/component"] == "workloads"
    assert PART_OF.items() <= labels.items()
    assert labels == obj["metadata"]["labels"]


def test_what_the_template_says_wins():
    obj = m.parse(DEPLOYMENT.replace("{name: web}", "{name: web, labels: {app: other}}", 1), "f")
    assert m.stamp(obj, "1-a", "ns")["metadata"]["labels"]["app"] == "other"


def test_cluster_wide_kinds_get_no_namespace_and_come_first():
    objects = build(CONFIG % 1, "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n")
    assert [obj["kind"] for obj in objects] == ["Namespace", "ConfigMap"]
    assert "namespace" not in objects[0]["metadata"]


def test_a_changed_setting_changes_the_pods_that_use_it():
    hashes = {build(DEPLOYMENT, CONFIG % value)[0]["spec"]["template"]["metadata"]["annotations"][m.CONFIG] for value in "112"}
    assert len(hashes) == 2


def test_a_name_twice_is_refused():
    with pytest.raises(ManifestError, match="ConfigMap settings is also in"):
        build(CONFIG % 1, CONFIG % 2)
