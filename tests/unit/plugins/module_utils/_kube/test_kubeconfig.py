"""From a kubeconfig to a connection, and credentials that are renewed."""

from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube import kubeconfig
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import Token, connect
from written_kubeconfig import written_kubeconfig


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere does not exist. Set release_kubeconfig"):
        connect({"kubeconfig": str(tmp_path / "nowhere")})


def test_a_kubeconfig_without_the_context_is_explained(tmp_path):
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\ncurrent-context: ''\n")
    with pytest.raises(ValueError, match="Set release_kubeconfig and release_context"):
        connect({"kubeconfig": str(path), "context": "production"})


@pytest.mark.parametrize(
    ("cluster", "user", "problem"),
    [
        ({"certificate-authority-data": "Zm9v"}, {}, "its certificate-authority is no certificate"),
        ({"certificate-authority": "/none"}, {}, "File does not exist: /none"),
        ({}, {"client-certificate-data": "Zm9v", "client-key-data": "Zm9v"}, "its client-certificate and client-key are no pair"),
        ({"proxy-url": "gopher://x"}, {}, "unsupported scheme gopher"),
        ({}, {"exec": {"command": "/none/such"}}, "No such file or directory: '/none/such'"),
        ({}, {"exec": {"command": "/bin/sh", "args": ["-c", "echo run: aws sso login >&2; exit 1"]}}, "returned 1. run: aws sso login"),
    ],
)
def test_what_is_wrong_in_a_kubeconfig_is_named(tmp_path, monkeypatch, cluster, user, problem):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config"
    if "exec" in user:
        user["exec"] |= {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    written_kubeconfig(path, user, **cluster)
    with pytest.raises(ValueError, match=problem) as caught:
        connect({"kubeconfig": str(path)})
    assert str(caught.value).startswith(f"kubeconfig {path} cannot be used: ")
    assert str(caught.value).endswith("Set release_kubeconfig and release_context.")


@pytest.mark.parametrize("text", [b"a: [", b"\xff\xfe\x00", b"- a", b"", b"current-context: a\ncontexts: 5\n"])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path, text):
    (tmp_path / "config").write_bytes(text)
    with pytest.raises(ValueError, match=r"config cannot be used: .*Set release_kubeconfig"):
        connect({"kubeconfig": str(tmp_path / "config")})


def test_a_mistake_of_ours_is_not_told_as_one_of_the_kubeconfig(tmp_path, monkeypatch):
    def mistaken(*_):
        raise KeyError("ours")

    monkeypatch.setattr(kubeconfig.connection, "pool", mistaken)
    written_kubeconfig(tmp_path / "config", {})
    with pytest.raises(KeyError, match="ours"):
        connect({"kubeconfig": str(tmp_path / "config")})


def test_a_list_of_kubeconfigs_is_merged_and_missing_ones_are_ignored(tmp_path, monkeypatch):
    """As kubectl does: the cluster in one file, the user in another."""
    import yaml

    written_kubeconfig(tmp_path / "whole", {"token": "t"})
    whole = yaml.safe_load((tmp_path / "whole").read_text())
    users = {"apiVersion": "v1", "kind": "Config", "users": whole.pop("users")}
    (tmp_path / "shared").write_text(yaml.safe_dump(whole))
    (tmp_path / "mine").write_text(yaml.safe_dump(users))
    names = f"{tmp_path}/shared:{tmp_path}/missing:{tmp_path}/mine"
    for params in ({"kubeconfig": names}, {}):
        monkeypatch.setenv("KUBECONFIG", names)
        assert connect(params).authorize() == {"authorization": "Bearer t"}
    (tmp_path / "mine").write_text("a: [")
    with pytest.raises(ValueError, match=rf"{tmp_path}/mine"):
        connect({"kubeconfig": names})


class Settings:
    def __init__(self, *tokens):
        self.tokens, self.asked = list(tokens), 0

    def auth_settings(self):
        self.asked += 1
        return {"BearerToken": {"key": "authorization", "value": self.tokens[min(self.asked, len(self.tokens)) - 1]}}


def test_a_token_is_asked_for_once_a_minute():
    now = SimpleNamespace(seconds=0.0)
    settings = Settings("a", "b")
    token = Token(settings, "kubeconfig /k", lambda: settings, lambda: now.seconds)
    assert [token.headers() for _ in range(3)] == [{"authorization": "a"}] * 3 and settings.asked == 1
    now.seconds = 61.0
    assert token.headers() == {"authorization": "b"}


def test_a_refused_token_is_renewed_once_for_all_threads():
    token = Token(Settings("old"), "kubeconfig /k", lambda: Settings("new"))
    old = token.headers()
    assert token.renewed(old) == {"authorization": "new"}
    assert token.renewed(old) == {"authorization": "new"} == token.headers()


def test_a_plugin_that_fails_at_the_renewal_is_named_with_its_words(tmp_path):
    (tmp_path / "plugin").write_text(
        "#!/bin/sh\n"
        f"[ -e {tmp_path}/second ] && {{ echo 'run: aws sso login' >&2; exit 3; }}\n"
        f"touch {tmp_path}/second\n"
        """echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t"}}'\n"""
    )
    (tmp_path / "plugin").chmod(0o755)
    user = {"exec": {"command": str(tmp_path / "plugin"), "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}}
    written_kubeconfig(tmp_path / "config", user)
    cluster = connect({"kubeconfig": str(tmp_path / "config")})
    with pytest.raises(
        ApiError, match=r"refused the credentials since .*returned 3. run: aws sso login.*credential plugin .*/plugin"
    ) as caught:
        cluster.renew(cluster.authorize())
    assert caught.value.status == 401 and "renew" in caught.value.next_step
