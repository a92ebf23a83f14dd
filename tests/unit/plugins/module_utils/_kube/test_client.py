import json
import ssl
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube import client
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from fake_clock import FakeClock


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
        return SimpleNamespace(status=status, data=text, headers=dict(headers), close=lambda: None)


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
    assert said[0] == "https://k:6443 does not answer: connection refused (for 0 s; waiting at most 30 s)"
    assert [target.clock.now] == [3.0]


def test_an_unreachable_server_is_waited_for_at_most_for_its_patience():
    target = cluster((200, {}), *[GONE] * 40)
    target.get("/version")
    with pytest.raises(ApiError, match="does not answer"):
        target.get("/x")
    assert [target.clock.now] == [30.0]
    with pytest.raises(ApiError):
        target.impatient().get("/x")
    assert [target.clock.now] == [30.0]


LEADER = (500, {"message": "etcdserver: leader changed"})
CREATED = {"metadata": {"name": "a"}, "spec": {"x": 1, "default": 2}}
WANTED = {"metadata": {"name": "a"}, "spec": {"x": 1}}


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("answer", [LEADER, (503, {"message": "shutting down"}), (429, {"message": "too many"})])
def test_a_bad_moment_of_the_server_is_waited_for(method, answer):
    target = cluster(answer, answer, (200, {"ok": True}))
    assert json.loads(target.request(method, "/x")) == {"ok": True}
    assert target.clock.now == 2.0


def test_the_server_says_how_long_to_wait():
    target = cluster((429, {"message": "too many"}, ("Retry-After", "7")), (200, {}))
    target.get("/x")
    assert target.clock.now == 7.0


def test_a_bad_minute_ends_with_the_servers_words():
    target = cluster(*[LEADER] * 60)
    with pytest.raises(ApiError, match="leader changed"):
        target.get("/x")
    assert target.clock.now == 30.0


def test_a_refusal_is_not_waited_for():
    schema = {"message": "failed to create typed patch object: field not declared in schema"}
    for answer in ((403, {}), (409, {}), (422, {}), (500, schema)):
        target = cluster(answer)
        with pytest.raises(ApiError):
            target.patch_merge("/x", {})
        assert target.clock.now == 0.0


def test_a_create_that_was_not_begun_is_repeated():
    target = cluster((429, {"message": "too many"}), (201, CREATED))
    assert target.create("/x", WANTED) == CREATED
    assert [method for method, *_ in target.pool.asked] == ["POST", "POST"]


MISSING = (404, {"reason": "NotFound", "message": "not found"})
EXISTS = (409, {"reason": "AlreadyExists", "message": "a already exists"})


@pytest.mark.parametrize(
    ("answers", "methods"),
    [
        pytest.param([LEADER, (200, CREATED)], ["POST", "GET"], id="it was created"),
        pytest.param([LEADER, MISSING, (201, CREATED)], ["POST", "GET", "POST"], id="it was not created"),
        pytest.param([LEADER, MISSING, EXISTS, (200, CREATED)], ["POST", "GET", "POST", "GET"], id="the first request was late"),
        pytest.param([LEADER, GONE, EXISTS, (200, CREATED)], ["POST", "GET", "POST", "GET"], id="the look failed"),
    ],
)
def test_a_doubtful_create_is_looked_up(answers, methods):
    target = cluster(*answers)
    assert target.create("/x", WANTED) == CREATED
    assert [method for method, *_ in target.pool.asked] == methods


def test_another_object_of_the_same_name_is_a_conflict():
    target = cluster(LEADER, (200, {"metadata": {"name": "a"}, "spec": {"x": 2}}), EXISTS, (200, {"metadata": {"name": "a"}}))
    with pytest.raises(ApiError, match="already exists"):
        target.create("/x", WANTED)
    with pytest.raises(ApiError, match="already exists"):
        cluster(EXISTS).create("/x", WANTED)


def test_an_impatient_client_creates_once():
    with pytest.raises(ApiError, match="leader changed"):
        cluster(LEADER).impatient().create("/x", WANTED)


def test_a_refused_token_is_renewed_once():
    target = cluster((200, {}), UNAUTHORIZED, (200, {"ok": True}), UNAUTHORIZED, UNAUTHORIZED)
    target.renew = lambda refused: {"Authorization": "Bearer new"}
    target.get("/x")
    assert target.get("/y") == {"ok": True}
    assert target.pool.asked[-1][2]["Authorization"] == "Bearer new"
    with pytest.raises(ApiError, match="Unauthorized"):
        target.get("/z")


def test_the_servers_clock_is_known_from_its_answers(monkeypatch):
    monkeypatch.setattr(client.time, "time", lambda: 1_795_500_000.0 + 10_800)
    target = cluster((200, {}, ("Date", format_datetime(datetime.fromtimestamp(1_795_500_000, UTC), usegmt=True))))
    target.get("/version")
    assert target.clock_skew == 10_800


def test_find_and_delete_know_that_nothing_is_there():
    missing = (404, {"reason": "NotFound", "message": "not found"})
    assert cluster(missing).find("/api/v1/x") is None
    assert cluster(missing).delete("/api/v1/x") is False
