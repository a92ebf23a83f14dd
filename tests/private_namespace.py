"""A namespace of a test's own, labelled like the product's (Pod Security restricted), gone afterwards."""

import secrets
from contextlib import contextmanager
from functools import partial

from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from waiting import until


@contextmanager
def private_namespace(kubeconfig, prefix="test"):
    """The cluster, with the new namespace as its own."""
    name = f"{prefix}-{secrets.token_hex(4)}"
    cluster = connect({"kubeconfig": kubeconfig, "namespace": name})
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "app.kubernetes.io/managed-by": "hsc.jit-tests"}
    cluster.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    try:
        # The controllers add these two a moment later; a test that counts objects must not see them arrive.
        for path in (cluster.namespaced("configmaps") + "/kube-root-ca.crt", cluster.namespaced("serviceaccounts") + "/default"):
            until(partial(cluster.find, path), 20, f"for {path}: is kube-controller-manager running?".format)
        yield cluster
    finally:
        cluster.delete(f"/api/v1/namespaces/{name}")
