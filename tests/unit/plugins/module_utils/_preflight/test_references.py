from ansible_collections.hsc.jit.plugins.module_utils._preflight import references as preflight_references
from ansible_collections.hsc.jit.plugins.module_utils._preflight.references import check, delivered, references, unanswered

ENV = [
    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "hsc-secrets", "key": "gemini-key"}}},
    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "hsc-jit-config", "key": "LEVEL"}}},
    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "extra", "key": "k", "optional": True}}},
    {"name": "D", "value": "plain"},
    {"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
]
POD = {
    "serviceAccountName": "runner",
    "imagePullSecrets": [{"name": "pull"}],
    "containers": [
        {"name": "c", "env": ENV, "envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "some", "optional": True}}]}
    ],
    "volumes": [
        {"name": "v", "secret": {"secretName": "tls", "items": [{"key": "tls.key", "path": "k"}]}},
        {"name": "w", "configMap": {"name": "conf"}},
        {"name": "x", "persistentVolumeClaim": {"claimName": "data"}},
        {
            "name": "y",
            "projected": {"sources": [{"secret": {"name": "proj", "items": [{"key": "p", "path": "p"}]}}, {"serviceAccountToken": {}}]},
        },
        {"name": "z", "emptyDir": {}},
    ],
}
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": POD}}}
CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hsc-jit-config"}, "data": {"LEVEL": "info"}}


def test_every_way_to_refer_is_found_and_what_is_optional_is_not():
    assert {(one.kind, one.name, one.key) for one in references([DEPLOYMENT])} == {
        ("Secret", "hsc-secrets", "gemini-key"),
        ("ConfigMap", "hsc-jit-config", "LEVEL"),
        ("Secret", "all", None),
        ("Secret", "tls", None),
        ("Secret", "tls", "tls.key"),
        ("ConfigMap", "conf", None),
        ("PersistentVolumeClaim", "data", None),
        ("Secret", "proj", None),
        ("Secret", "proj", "p"),
        ("Secret", "pull", None),
        ("ServiceAccount", "runner", None),
    }


def test_an_ingress_names_its_certificate():
    ingress = {"kind": "Ingress", "metadata": {"name": "i"}, "spec": {"tls": [{"hosts": ["a"], "secretName": "cert"}]}}
    assert [(one.name, one.key, one.field) for one in references([ingress])] == [("cert", "tls.crt", "spec.tls[0].secretName")]


def only_env(*env):
    pod = {"containers": [{"name": "c", "env": list(env)}]}
    return [{"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": pod}}}]


def test_a_missing_key_is_named_with_its_workload_its_field_and_the_keys_that_are_there():
    wanted = references(only_env(ENV[0]))
    (finding,) = check(wanted, {("Secret", "hsc-secrets"): {"redis-url"}}, {}, "hsc-jit")
    assert finding.verdict == "fail"
    assert finding.message == (
        "Secret hsc-secrets has no key gemini-key (it has: redis-url); "
        "needed by Deployment web: spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef."
    )


def test_a_missing_object_is_one_finding_however_many_use_it():
    wanted = references([*only_env(ENV[0], ENV[0]), *only_env(ENV[0], ENV[0])])
    (finding,) = check(wanted, {}, {}, "hsc-jit")
    assert finding.message.startswith("Secret hsc-secrets does not exist; needed by") and "and 1 more" in finding.message
    assert "kubectl create secret generic hsc-secrets --from-literal=gemini-key=... -n hsc-jit" in finding.next_step
    assert len(finding.evidence["used_by"]) == 4


def test_what_comes_with_the_release_counts_and_the_cluster_is_asked_only_for_the_rest():
    wanted = references(only_env(ENV[0], ENV[1]))
    known = delivered([CONFIG], {"hsc-secrets": ["gemini-key"]})
    assert unanswered(wanted, known) == []
    assert check(wanted, known, {}, "hsc-jit")[0].verdict == "pass"
    assert unanswered(wanted, delivered([CONFIG], {})) == [("Secret", "hsc-secrets")]
    assert unanswered(wanted, delivered([], {"hsc-secrets": ["redis-url"]})) == [("ConfigMap", "hsc-jit-config"), ("Secret", "hsc-secrets")]


def test_what_may_not_be_read_is_skipped_with_the_reason():
    (finding,) = check(references(only_env(ENV[0])), {}, {("Secret", "hsc-secrets"): "secrets is forbidden"}, "hsc-jit")
    assert finding.verdict == "skipped" and "secrets is forbidden" in finding.message


def test_no_value_of_a_secret_is_kept():
    secret = {"kind": "Secret", "metadata": {"name": "s"}, "data": {"k": "dmFsdWU="}, "stringData": {"l": "value"}}
    assert preflight_references.keys_of(secret) == {"k", "l"}
