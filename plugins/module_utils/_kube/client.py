# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The client that everything uses to talk to one cluster.

Paths are the API server's own (``/apis/apps/v1/namespaces/x/deployments/y``); objects are plain dicts as the server sends them.
Credentials come from the kubernetes library; the calls themselves go through a pool of our own, because the library's typed layer costs
20 ms an object and hides the server's reasons.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from .._errors import ApiError
from .._poll import CLOCK, Clock, poll
from . import connection
from . import exec as kube_exec
from .exec import ExecResult
from .objects import contains
from .pool import Answer, Pool

__all__ = ["POOL_SIZE", "Cluster", "ExecResult"]

POOL_SIZE = 16  # parallel requests of one module; more only queues in the API server's fairness
_TIMEOUT = 30.0
_JSON = "application/json"
_METADATA_ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_SAID_SECONDS = 5  # between two lines of progress about a server that is waited for
_RETRY_SECONDS = 1.0  # between two attempts, unless the server says how long
# Requests that may be sent twice: our patches set values, they add nothing. A create is checked before it is repeated (`Cluster.create`).
_REPEATABLE = frozenset({"GET", "PATCH", "PUT", "DELETE"})
_AGENT = {"User-Agent": "hsc.jit"}
_T = TypeVar("_T")
_WATCH_GRACE = 5.0  # a watch that is silent for so long after its end has died


@dataclass
class Cluster:
    """A connection to one cluster and the namespace that relative names are in."""

    server: str
    namespace: str
    pool: Pool
    authorize: Callable[[], dict[str, str]]  # headers with the credentials
    configuration: Any = None  # kubernetes.client.Configuration
    requests: dict[str, int] = field(default_factory=dict)  # method -> how many were sent
    # An API server that has answered once may be away for so long: a run that is half done must not end because it is restarted.
    patience: float = 30.0
    on_wait: Callable[[str], None] = lambda words: None
    clock_skew: float = 0.0  # seconds by which this machine's clock is ahead of the server's, as the last answer said
    answered: bool = False  # and let us in
    # Headers with new credentials, after the server has refused these.
    renew: Callable[[Mapping[str, str]], dict[str, str]] = dict
    source: str = ""  # where the credentials come from
    clock: Clock = CLOCK
    node_scale_up_seconds: float = 0.0  # that its node autoscaler may take to add a node; 0: it has none

    def impatient(self) -> Cluster:
        """The same connection, for those who wait in their own way."""
        return replace(self, patience=0.0)

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        accept: str = _JSON,
        content_type: str = _JSON,
        timeout: float = _TIMEOUT,
    ) -> bytes:
        headers = {"Accept": accept, **({} if body is None else {"Content-Type": content_type})}

        def attempt() -> Answer | ApiError:
            try:
                return self._send(method, path, query, body, headers, timeout)
            except ApiError as error:
                # 429: the server has not started with the request
                if not error.transient or not (method in _REPEATABLE or error.status == 429):
                    raise
                return error

        answer = self._patiently(attempt)
        if isinstance(answer, ApiError):
            raise answer
        return answer.data

    def _patiently(self, attempt: Callable[[], _T | ApiError]) -> _T | ApiError:
        """The first result that is no ApiError, or the last error.

        A server that answers 429, 500 or 503, or that has answered before and is unreachable now, is asked again for ``patience`` seconds.
        """
        began = self.clock.monotonic()

        def final(answer: _T | ApiError) -> bool:
            if not isinstance(answer, ApiError) or not self.answered:
                return True
            waited = self.clock.monotonic() - began
            if waited < self.patience and int(waited) % _SAID_SECONDS == 0:
                self.on_wait(f"{answer.message.rstrip('.')} (for {waited:.0f} s; waiting at most {self.patience:.0f} s)")
            return False

        def pause(answer: _T | ApiError) -> float:
            return max(_RETRY_SECONDS, answer.retry_after) if isinstance(answer, ApiError) else 0.0

        return poll(attempt, self.patience, until=final, every=pause, clock=self.clock)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str],
        timeout: float,
        *,
        whole: bool = True,
    ) -> Answer:
        target = urlsplit(self.server).path + path
        given = {key: str(value).lower() if isinstance(value, bool) else value for key, value in (query or {}).items() if value is not None}
        if given:
            target += "?" + urlencode(given)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.requests[method] = self.requests.get(method, 0) + 1
        try:
            answer = self._answer(method, target, data, headers, timeout, whole=whole)
        except OSError as error:
            problem = ApiError(0, "Unreachable", f"{self.server} does not answer: {_cause(error)}")
            raise (self._explained(problem) if isinstance(error, ssl.SSLError) else problem) from error
        self.answered = self.answered or answer.status != 401
        if date := answer.headers.get("Date"):
            self.clock_skew = time.time() - parsedate_to_datetime(date).timestamp()
        if answer.status >= 400:
            problem = ApiError.of_answer(answer.status, answer.data)
            problem.retry_after = _seconds(answer.headers.get("Retry-After"))
            raise self._explained(problem) if answer.status == 401 else problem
        return answer

    def _answer(self, method: str, target: str, data: bytes | None, headers: Mapping[str, str], timeout: float, *, whole: bool) -> Answer:
        """The server's answer. A refused token is renewed once: it may have expired in the middle of the run."""
        credentials = self.authorize()
        answer = self.pool.request(method, target, data, {**headers, **_AGENT, **credentials}, timeout, whole=whole)
        if answer.status != 401 or not self.answered or (renewed := self.renew(credentials)) == credentials:
            return answer
        answer.close()
        return self.pool.request(method, target, data, {**headers, **_AGENT, **renewed}, timeout, whole=whole)

    def _explained(self, problem: ApiError) -> Exception:
        """Of who was never let in, unauthorized or by TLS: a client certificate that is not valid now is told by its day."""
        if not self.answered and (words := connection.ended(self.configuration, datetime.now(UTC))):
            return ValueError(f"{self.source}: {words}")
        return problem

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return json.loads(self.request("GET", path, query))  # type: ignore[no-any-return]

    def find(self, path: str, **query: Any) -> dict[str, Any] | None:
        """The object, or None if there is none of that name."""
        try:
            return self.get(path, **query)
        except ApiError as problem:
            if problem.status == 404:
                return None
            raise

    def list(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All items. ``kind`` and ``apiVersion``, which the server leaves out of items, are put back."""
        return [*self.list_at(path, **query)[0]]

    def list_at(self, path: str, **query: Any) -> tuple[Sequence[dict[str, Any]], str]:
        """All items, and the resourceVersion that a watch goes on from."""
        answer = self.get(path, **query)
        kind = str(answer.get("kind", "List")).removesuffix("List")
        items = [{"kind": kind, "apiVersion": answer.get("apiVersion"), **item} for item in answer.get("items") or []]
        return items, str((answer.get("metadata") or {}).get("resourceVersion", ""))

    def names(self, path: str) -> set[str]:
        """The names of all items; what is in them is not sent."""
        answer = json.loads(self.request("GET", path, accept=_METADATA_ALONE))
        return {item["metadata"]["name"] for item in answer.get("items") or []}

    def patch_apply(
        self, path: str, obj: Mapping[str, Any], field_manager: str, force: bool = False, *, dry_run: bool = False, strict: bool = True
    ) -> dict[str, Any]:
        """Server-side apply. ``path`` is the object's own. strict: refuse fields that the server does not know; else it drops them."""
        validation, dry = "Strict" if strict else "Ignore", "All" if dry_run else None
        query = {"fieldManager": field_manager, "force": force, "fieldValidation": validation, "dryRun": dry}
        return json.loads(self.request("PATCH", path, query, obj, content_type="application/apply-patch+yaml"))  # type: ignore[no-any-return]

    def patch_merge(self, path: str, changes: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        return json.loads(self.request("PATCH", path, query, changes, content_type="application/merge-patch+json"))  # type: ignore[no-any-return]

    def create(self, path: str, obj: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        """Create the object. ``path`` is the collection's.

        After an answer that does not say whether the object was created (500, 503, none), the object is looked up before the next attempt.
        """
        name, doubtful = obj.get("metadata", {}).get("name"), False

        def attempt() -> dict[str, Any] | ApiError:
            nonlocal doubtful
            try:
                return json.loads(self.request("POST", path, query, obj))  # type: ignore[no-any-return]
            except ApiError as error:
                if not name or not self.patience or not (error.transient or (doubtful and error.status == 409)):
                    raise
                doubtful, problem = True, error
            try:
                found = self.impatient().find(f"{path}/{quote(name)}")
            except ApiError as error:
                return error
            if found is not None and contains(found, obj):
                return found
            if problem.status == 409:
                raise problem
            return problem

        answer = self._patiently(attempt)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    def replace(self, path: str, obj: Mapping[str, Any], **query: Any) -> dict[str, Any]:
        return json.loads(self.request("PUT", path, query, obj))  # type: ignore[no-any-return]

    def delete(self, path: str, propagation: str = "Background", grace_seconds: int | None = None) -> bool:
        """False if it was not there."""
        try:
            self.request("DELETE", path, {"propagationPolicy": propagation, "gracePeriodSeconds": grace_seconds})
        except ApiError as problem:
            if problem.status == 404:
                return False
            raise
        return True

    def logs(self, pod: str, container: str | None = None, *, namespace: str | None = None, **query: Any) -> str:
        """A container's log; query takes the API's names: tailLines, sinceSeconds, sinceTime, previous, timestamps, limitBytes."""
        path = f"{self.namespaced('pods', namespace=namespace)}/{quote(pod)}/log"
        return self.request("GET", path, {"container": container, **query}).decode("utf-8", "replace")

    def watch(self, path: str, timeout_seconds: int, **query: Any) -> Iterator[dict[str, Any]]:
        """Watch events ``{"type", "object"}`` until the server ends it. ApiError: it broke, or was silent for longer than it may be."""
        parameters = {"watch": True, "timeoutSeconds": timeout_seconds, **query}
        answer = self._send("GET", path, parameters, None, {"Accept": _JSON}, timeout_seconds + _WATCH_GRACE, whole=False)
        rest = b""
        try:
            for part in answer.parts():
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    if line:
                        yield json.loads(line)
        except OSError as error:
            raise ApiError(0, "Unreachable", f"{self.server}: a watch broke: {_cause(error)}") from error
        finally:
            answer.close()

    def namespaced(self, plural: str, api: str = "/api/v1", namespace: str | None = None) -> str:
        """``/api/v1/namespaces/<namespace>/<plural>``"""
        return f"{api}/namespaces/{quote(namespace or self.namespace)}/{plural}"

    def exec(
        self,
        pod: str,
        container: str,
        argv: Sequence[str],
        *,
        stdin: bytes | Path = b"",
        stdout: Path | None = None,
        namespace: str | None = None,
        timeout_seconds: float = 600.0,
    ) -> ExecResult:
        """Run a command in a container. stdin: for one that keeps its output open while it reads. stdout: a file instead of memory."""
        return kube_exec.execute(self, pod, container, argv, stdin, stdout, namespace or self.namespace, timeout_seconds)


def _seconds(retry_after: str | None) -> float:
    """A header Retry-After in seconds; 0 for none, or for a date."""
    return float(retry_after) if retry_after and retry_after.isdigit() else 0.0


def _cause(error: BaseException) -> str:
    return str(error) or type(error).__name__
