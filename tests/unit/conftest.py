"""Runs a module's work in this process, as Ansible would run the module."""

import io
import json
import sys

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hsc.jit.plugins.module_utils import _module


def _result_of(monkeypatch, module_main, arguments):
    """(result, exit code) of a function that ends as a module does."""
    monkeypatch.setattr(basic.AnsibleModule, "_log_invocation", lambda self: None)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with patch_module_args(arguments), pytest.raises(SystemExit) as exit_info:
        module_main()
    return json.loads(sys.stdout.getvalue().strip().splitlines()[-1]), exit_info.value.code


@pytest.fixture
def run_module(monkeypatch):
    """(result, exit code) of ``work``. cluster: a fake that the work finds as ``context.cluster``."""

    def call(work, spec=None, cluster=None, check_id="", **arguments):
        def with_cluster(context):
            context.cluster = cluster
            return work(context)

        return _result_of(monkeypatch, lambda: _module.run(spec or {}, with_cluster, cluster=False, check_id=check_id), arguments)

    return call


@pytest.fixture
def run_main(monkeypatch):
    """(result, exit code) of a module's ``main()``. cluster: a fake that its work finds as ``context.cluster``."""

    def call(module, cluster, **arguments):
        monkeypatch.setattr(_module, "connect", lambda options: cluster)
        return _result_of(monkeypatch, module.main, arguments)

    return call
