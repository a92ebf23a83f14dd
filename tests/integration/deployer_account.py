"""The account of docs/operations/deployer-rbac.yaml: a deployer who is no administrator."""

from contextlib import contextmanager
from pathlib import Path

import yaml

FILE = Path(__file__).parents[2] / "docs/operations/deployer-rbac.yaml"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def token(cluster, account):
    """A bearer token, good for an hour, of a service account in the cluster's namespace."""
    path = cluster.namespaced(f"serviceaccounts/{account}/token")
    return cluster.create(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]


@contextmanager
def deployer_account(cluster, name):
    """All that the file has, in the cluster's namespace and by this name; it is taken away in the end."""
    text = (
        FILE.read_text().replace("namespace: hsc-jit", f"namespace: {cluster.namespace}").replace("name: hsc-jit-deployer", f"name: {name}")
    )
    paths = {
        "ServiceAccount": cluster.namespaced("serviceaccounts"),
        "Role": cluster.namespaced("roles", RBAC),
        "RoleBinding": cluster.namespaced("rolebindings", RBAC),
        "ClusterRole": f"{RBAC}/clusterroles",
        "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
    }
    try:
        for obj in yaml.safe_load_all(text):
            cluster.create(paths[obj["kind"]], obj)
        yield name
    finally:
        for path in paths.values():
            cluster.delete(f"{path}/{name}")
