"""A power cut of one local cluster: kill -9 of its every process, its pods' among them."""

from pathlib import Path

import yaml
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster import node as nodes
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster import process
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster.settings import from_options
from playbook import ROOT


def settings(**changes):
    """Of a cluster that differs from the role's defaults by these variables of the role."""
    defaults = yaml.safe_load((ROOT / "roles/local_cluster/defaults/main.yml").read_text())
    plain = {key.removeprefix("local_cluster_"): value for key, value in {**defaults, **changes}.items()}
    return from_options({**plain, "state_root": "/var/lib", "cache_dir": "/nowhere", "source_dir": "/nowhere"})


def power_cut(one):
    """How many processes there were."""
    run = Path(one.state) / "run"
    daemons = [pid for path in run.glob("*.pid") if (pid := process.pid_of(path))]
    process.end(daemons)
    return len(daemons) + sum(len(nodes.end_processes(node)) for node in one.all_nodes())
