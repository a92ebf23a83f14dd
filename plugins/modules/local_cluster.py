#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Make, repair, stop or remove a Kubernetes on this machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: local_cluster
short_description: Make, repair, stop or remove a Kubernetes on this machine
version_added: 0.1.0
description:
  - Builds Kubernetes, etcd, CoreDNS and metrics-server from Go modules, once, and starts a stock kubeadm cluster from them.
  - Everything lies under one folder, in namespaces of its own.
  - A kubelet, containerd, CNI or C(/etc/kubernetes) of the host is never touched.
  - Looks first. On a whole cluster it changes nothing; what is missing is repaired; a half-made cluster is begun again.
author:
  - The HSC-JIT deployment engineers (@hsc-jit)
extends_documentation_fragment:
  - hsc.jit.target.run
options:
  state:
    description:
      - Whether the cluster is to run, to be stopped with its data kept, or not to be there.
    type: str
    choices: [present, stopped, absent]
    default: present
  name:
    description: Name of the cluster, so that several can live side by side. Up to 11 characters of a-z, 0-9 and C(-).
    type: str
    default: local
  source_dir:
    description: Folder with the Go source (C(node/)) and C(addons.yaml).
    type: path
    required: true
  state_root:
    description: Folder under which the cluster's one folder C(hsc-jit-<name>) lies.
    type: path
    default: /var/lib
  cache_dir:
    description: Folder in which built programs are kept.
    type: path
    default: ~/.cache/hsc-jit
  nodes:
    description: How many nodes; the first runs the control plane and takes pods too.
    type: int
    default: 1
  subnet:
    description: Private /24 network of the nodes.
    type: str
    default: 10.89.0.0/24
  pod_cidr:
    description: Private /16 network of the pods.
    type: str
    default: 10.244.0.0/16
  service_cidr:
    description: Private /16 network of the Services.
    type: str
    default: 10.96.0.0/16
  registry_port:
    description: Port of the image registry on 127.0.0.1.
    type: int
    default: 5001
  ports:
    description: Ports of 127.0.0.1 and the NodePorts they lead to.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Start Kubernetes
  hsc.jit.local_cluster:
    source_dir: "{{ role_path }}/files"
    ports: {8000: 30800}

- name: Stop it and keep its data
  hsc.jit.local_cluster:
    source_dir: "{{ role_path }}/files"
    state: stopped

- name: Remove it
  hsc.jit.local_cluster:
    source_dir: "{{ role_path }}/files"
    state: absent
"""

RETURN = r"""
done:
  description: What was made, repaired, ended or removed, in order; empty if nothing had to be done.
  returned: success
  type: list
  elements: str
  sample: [bridge, registry, containerd of local-0]
kubeconfig:
  description: Path of the administrator's kubeconfig.
  returned: success
  type: str
registry:
  description: The image registry as host and port; nodes and this machine reach it by the same name.
  returned: success
  type: str
  sample: localhost:5001
"""

from ..module_utils._errors import LockHeldError, OperatorError, UnsupportedHostError
from ..module_utils._local_cluster import cluster, lock
from ..module_utils._local_cluster.settings import from_options
from ..module_utils._module import Context, Outcome, run

SPEC = {
    "state": {"type": "str", "choices": ["present", "stopped", "absent"], "default": "present"},
    "name": {"type": "str", "default": "local"},
    "source_dir": {"type": "path", "required": True},
    "state_root": {"type": "path", "default": "/var/lib"},
    "cache_dir": {"type": "path", "default": "~/.cache/hsc-jit"},
    "nodes": {"type": "int", "default": 1},
    "subnet": {"type": "str", "default": "10.89.0.0/24"},
    "pod_cidr": {"type": "str", "default": "10.244.0.0/16"},
    "service_cidr": {"type": "str", "default": "10.96.0.0/16"},
    "registry_port": {"type": "int", "default": 5001},
    "ports": {"type": "dict", "default": {}},
}


_KILLED_SECONDS = 2.0  # a run whose playbook was killed is still ending


def work(context: Context) -> Outcome:
    settings = from_options(context.params)
    facts = {"kubeconfig": str(settings.kubeconfig), "registry": f"localhost:{settings.registry_port}", "done": []}
    wanted = context.params["state"]
    if context.check_mode:
        found = cluster.state(settings)
        return Outcome(found, found if (found, wanted) == ("absent", "stopped") else wanted, facts=facts)
    act = {"present": cluster.up, "stopped": cluster.stop, "absent": cluster.down}[wanted]
    try:
        with lock.alone(f"cluster {settings.name}", _KILLED_SECONDS):
            done = act(settings, context.progress.say)
    except LockHeldError as holder:
        raise OperatorError(
            f"Local cluster {settings.name}: {holder} is at work on it.", "Wait until it has ended, and run again."
        ) from holder
    except UnsupportedHostError as error:
        raise OperatorError(str(error), "Nothing was made.") from error
    except RuntimeError as error:
        raise OperatorError(
            f"Local cluster {settings.name}: {error}", "Run it again: it goes on from here. `make destroy` begins anew."
        ) from error
    return Outcome([], done, facts={**facts, "done": done})


def main() -> None:
    run(SPEC, work, cluster=False)


if __name__ == "__main__":
    main()
