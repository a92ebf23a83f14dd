"""A kubeconfig of one context, for whoever asks what is made of it: nobody listens at its server."""

import json


def written_kubeconfig(path, user, **cluster):
    """user, cluster: fields as a kubeconfig has them, ``auth-provider``, ``certificate-authority`` and their like."""
    given = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "one", "user": "ada"}}],
        "clusters": [{"name": "one", "cluster": {"server": "https://127.0.0.1:9", **cluster}}],
        "users": [{"name": "ada", "user": user}],
    }
    path.write_text(json.dumps(given))
