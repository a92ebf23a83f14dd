"""Whose field is it? managedFields as the server writes them, recorded from a Deployment that kubectl patched."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube import managed_fields

LIVE = {
    "kind": "Deployment",
    "metadata": {
        "name": "web",
        "managedFields": [
            {
                "manager": "hsc.jit",
                "operation": "Apply",
                "time": "2026-11-24T04:00:00Z",
                "fieldsV1": {
                    "f:spec": {
                        "f:template": {
                            "f:spec": {
                                "f:containers": {
                                    'k:{"name":"web"}': {
                                        ".": {},
                                        "f:name": {},
                                        "f:ports": {'k:{"containerPort":8000,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                                    }
                                }
                            }
                        }
                    }
                },
            },
            {
                "manager": "kubectl-patch",
                "operation": "Update",
                "time": "2026-11-25T09:30:00Z",
                "fieldsV1": {
                    "f:metadata": {"f:annotations": {"f:note": {}}, "f:finalizers": {'v:"example.com/hold"': {}}},
                    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}}},
                },
            },
            {
                "manager": "kubectl-set",
                "operation": "Update",
                "time": "2026-11-25T10:00:00Z",
                "fieldsV1": {
                    "f:spec": {
                        "f:template": {
                            "f:spec": {"f:containers": {'k:{"name":"web"}': {"f:env": {'k:{"name":"DEBUG"}': {".": {}, "f:value": {}}}}}}
                        }
                    }
                },
            },
            {"manager": "kubectl", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {
                "manager": "kube-controller-manager",
                "operation": "Update",
                "subresource": "status",
                "fieldsV1": {"f:status": {"f:replicas": {}}},
            },
            {"manager": "hsc.jit-operate", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
        ],
    },
    "spec": {
        "replicas": 3,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "x",
                        "ports": [{"containerPort": 8000, "protocol": "TCP"}],
                        "env": [{"name": "DEBUG", "value": "1"}],
                    }
                ]
            }
        },
    },
}
IMAGE = "spec.template.spec.containers[web].image"


@pytest.mark.parametrize(
    ("field", "owner"),
    [
        (IMAGE, "kubectl-patch, 2026-11-25T09:30:00Z"),
        ("spec.template.spec.containers[web]", "kubectl-set, 2026-11-25T10:00:00Z"),
        ("spec.template.spec.containers[web].env[DEBUG].value", "kubectl-set, 2026-11-25T10:00:00Z"),
        ("spec.replicas", "kubectl"),
        ("spec.template.spec.containers[web].imagePullPolicy", "None"),
        ("spec.paused", "None"),
    ],
)
def test_who_has_a_field(field, owner):
    assert str(managed_fields.owner_of(LIVE, field, "hsc.jit")) == owner


def test_what_was_added_beside_ours():
    recorded = {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "y"}]}}}}
    found = dict(managed_fields.added(LIVE, recorded, "hsc.jit"))
    assert list(found) == ["spec.template.spec.containers[web].env[DEBUG].value", "spec.replicas"]
    assert "spec.replicas" not in dict(managed_fields.added(LIVE, {"spec": {"replicas": 1}}, "hsc.jit"))
    assert dict(managed_fields.added(LIVE, recorded, "hsc.jit", but=(".value", ".replicas"))) == {}


def test_nothing_is_known_of_an_object_without_managed_fields():
    assert managed_fields.owner_of({"metadata": {}}, "spec", "hsc.jit") is None
    assert managed_fields.added({"metadata": {}}, {}, "hsc.jit") == []
