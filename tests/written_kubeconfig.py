"""A kubeconfig of one context. Unless a server is given, nobody listens at its own."""

import json


def written_kubeconfig(path, user, **cluster):
    """user, cluster: fields as a kubeconfig has them, ``auth-provider``, ``certificate-authority`` and their like."""
    given = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "ada"}}],
        "clusters": [{"name": "one", "cluster": {"server": "https://127.0.0.1:9", **cluster}}],
        "users": [{"name": "ada", "user": user}],
    }
    path.write_text(json.dumps(given))
