import json
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube import client
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster, connect
from fake_clock import FakeClock
from written_kubeconfig import written_kubeconfig


class Pool:
    """A connection pool that remembers what was asked and answers from a list."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def request(self, method, target, body, headers, seconds, *, whole=True):
        self.asked.append((method, target, headers))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body, *headers = answer
        text = json.dumps(body).encode()
        return SimpleNamespace(status=status, data=text, headers=dict(headers))


def cluster(*answers):
    return Cluster("https://k:6443", "hsc-jit", Pool(*answers), lambda: {"Authorization": "Bearer t"}, clock=FakeClock())


def test_apply_is_server_side_strict_and_names_its_manager():
    target = cluster((200, {"kind": "ConfigMap"}))
    target.patch_apply("/api/v1/namespaces/x/configmaps/y", {"a": 1}, "hsc.jit", dry_run=True)
    method, path, headers = target.pool.asked[0]
    assert (method, path) == (
        "PATCH",
        "/api/v1/namespaces/x/configmaps/y?fieldManager=hsc.jit&force=false&fieldValidation=Strict&dryRun=All",
    )
    assert headers["Content-Type"] == "application/apply-patch+yaml"
    assert headers["Authorization"] == "Bearer t"
    assert target.requests == {"PATCH": 1}


def test_items_of_a_list_get_their_kind_back():
    target = cluster((200, {"kind": "PodList", "apiVersion": "v1", "items": [{"metadata": {"name": "a"}}]}))
    assert target.list("/api/v1/pods") == [{"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}]


def test_a_refusal_keeps_the_servers_words():
    status = {"reason": "Invalid", "message": "spec.replicas: must be 0 or more", "details": {"causes": [{"field": "spec.replicas"}]}}
    with pytest.raises(ApiError) as caught:
        cluster((422, status)).create("/api/v1/x", {})
    assert caught.value.reason == "Invalid" and caught.value.causes == [{"field": "spec.replicas"}] and not caught.value.transient


def test_no_connection_is_one_sentence_and_transient():
    with pytest.raises(ApiError, match="https://k:6443 does not answer") as caught:
        cluster(ConnectionRefusedError("connection refused")).get("/version")
    assert caught.value.transient


GONE = ConnectionRefusedError("connection refused")
UNAUTHORIZED = (401, {"reason": "Unauthorized", "message": "Unauthorized"})


@pytest.mark.parametrize("answer", [UNAUTHORIZED, ssl.SSLError("tlsv1 alert certificate expired")])
def test_a_first_refusal_asks_whether_the_client_certificate_has_ended(monkeypatch, answer):
    monkeypatch.setattr(client.connection, "ended", lambda configuration, now: "the client certificate of CN=ada ended")
    target = cluster(answer, answer)
    target.source = "kubeconfig /k"
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^kubeconfig /k: the client certificate of CN=ada ended$"):
            target.get("/version")


def test_where_the_certificate_is_valid_the_servers_word_stays(monkeypatch):
    with pytest.raises(ApiError, match="Unauthorized"):
        cluster(UNAUTHORIZED).get("/version")
    monkeypatch.setattr(client.connection, "ended", lambda *_: pytest.fail("what is wrong is not the certificate"))
    down = ConnectionRefusedError("refused")
    target = cluster(down, GONE, (403, {"message": "forbidden"}), UNAUTHORIZED)
    for words in ("does not answer: .*refused", "does not answer", "forbidden", "Unauthorized"):
        with pytest.raises(ApiError, match=words):
            target.get("/version")


def test_a_server_that_has_answered_is_waited_for_and_that_is_said():
    target, said = cluster((200, {}), GONE, GONE, (429, {"message": "too many"}), (200, {"kind": "Pod"})), []
    target.on_wait = said.append
    target.get("/version")
    assert target.get("/x") == {"kind": "Pod"}
    assert said[0].startswith("away for 0 s, at most 30: https://k:6443 does not answer")
    assert [target.clock.now] == [3.0]


def test_at_most_for_its_patience_and_never_a_request_that_may_have_been_done():
    target = cluster((200, {}), *[GONE] * 40)
    target.get("/version")
    with pytest.raises(ApiError, match="does not answer"):
        target.get("/x")
    assert [target.clock.now] == [30.0]
    with pytest.raises(ApiError):
        target.create("/x", {})
    with pytest.raises(ApiError):
        target.impatient().get("/x")
    assert [target.clock.now] == [30.0], "neither waited"


def test_a_refusal_is_no_absence():
    target = cluster((200, {}), (503, {"message": "no endpoints"}))
    target.get("/version")
    with pytest.raises(ApiError, match="no endpoints"):
        target.get("/x")


def test_the_servers_clock_is_known_from_its_answers(monkeypatch):
    monkeypatch.setattr(client.time, "time", lambda: 1_795_500_000.0 + 10_800)
    target = cluster((200, {}, ("Date", format_datetime(datetime.fromtimestamp(1_795_500_000, UTC), usegmt=True))))
    target.get("/version")
    assert target.clock_skew == 10_800


def test_find_and_delete_know_that_nothing_is_there():
    missing = (404, {"reason": "NotFound", "message": "not found"})
    assert cluster(missing).find("/api/v1/x") is None
    assert cluster(missing).delete("/api/v1/x") is False


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

    monkeypatch.setattr(client.connection, "pool", mistaken)
    written_kubeconfig(tmp_path / "config", {})
    with pytest.raises(KeyError, match="ours"):
        connect({"kubeconfig": str(tmp_path / "config")})
