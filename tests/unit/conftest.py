"""Runs a module's work in this process, as Ansible would run the module."""

import io
import json
import sys

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hsc.jit.plugins.module_utils import _module


@pytest.fixture
def run_module(monkeypatch):
    """(result, exit code) of ``work``. cluster: a fake that the work finds as ``context.cluster``."""

    def call(work, spec=None, cluster=None, check_id="", **arguments):
        def with_cluster(context):
            context.cluster = cluster
            return work(context)

        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with patch_module_args(arguments), pytest.raises(SystemExit) as exit_info:
            _module.run(spec or {}, with_cluster, cluster=False, check_id=check_id)
        return json.loads(sys.stdout.getvalue().strip().splitlines()[-1]), exit_info.value.code

    monkeypatch.setattr(basic.AnsibleModule, "_log_invocation", lambda self: None)
    return call


@pytest.fixture
def run_main(monkeypatch):
    """(result, exit code) of a module's ``main()``. cluster: a fake that its work finds as ``context.cluster``."""

    def call(module, cluster, **arguments):
        monkeypatch.setattr(_module, "connect", lambda options: cluster)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with patch_module_args(arguments), pytest.raises(SystemExit) as exit_info:
            module.main()
        return json.loads(sys.stdout.getvalue().strip().splitlines()[-1]), exit_info.value.code

    monkeypatch.setattr(basic.AnsibleModule, "_log_invocation", lambda self: None)
    return call
