# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""From a kubeconfig, or from a pod's service account, to a connection. Credentials are renewed while a run lasts.

The kubernetes library reads the files. This module adds what it leaves out: ``proxy-url``, and words for what is wrong.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._errors import ApiError
from . import connection, credentials
from .client import POOL_SIZE, Cluster

_UNREADABLE = (TypeError, AttributeError, KeyError)  # what the library raises for a file that is no kubeconfig
_TOKEN_SECONDS = 60.0  # how long a token is used before the library is asked for it again; an exec plugin takes seconds


def connect(params: Mapping[str, Any]) -> Cluster:
    """A Cluster from the options kubeconfig, context, namespace and node_scale_up_seconds (`_module.TARGET_SPEC`).

    kubeconfig: one file, or several with colons between them, which are merged as kubectl does. Without it: the environment's KUBECONFIG,
    then ~/.kube/config, then the service account of the pod we run in.
    ValueError: the kubeconfig cannot be used; the message says why and what to do.
    """
    path, context = params.get("kubeconfig") or None, params.get("context") or None
    if path and not kubeconfig_files(path):
        raise ValueError(f"kubeconfig {path} does not exist. Set release_kubeconfig (or KUBECONFIG) to a readable file.")
    files = path or ("" if _in_pod() else os.environ.get("KUBECONFIG") or "~/.kube/config")
    source = f"kubeconfig {files}" if files else "service account"
    try:
        settings = _settings(files, context)
        pool = connection.pool(settings, POOL_SIZE)
    except (OSError, ValueError) as error:
        raise ValueError(f"{source} cannot be used: {error}. Set release_kubeconfig and release_context.") from error
    token = Token(settings, source, lambda: _settings(files, context))
    return Cluster(
        server=settings.host.rstrip("/"),
        namespace=params.get("namespace") or "default",
        pool=pool,
        authorize=token.headers,
        renew=token.renewed,
        configuration=settings,
        source=source,
        node_scale_up_seconds=params.get("node_scale_up_seconds") or 0.0,
    )


class Token:
    """The bearer token of a connection. Safe for threads. settings: a kubernetes.client.Configuration; load: reads a new one."""

    def __init__(self, settings: Any, source: str, load: Any, monotonic: Any = time.monotonic) -> None:
        self._settings, self._source, self._load, self._monotonic = settings, source, load, monotonic
        self._lock = threading.Lock()
        self._headers: dict[str, str] | None = None
        self._asked_at = 0.0

    def headers(self) -> dict[str, str]:
        """The header Authorization; empty where a client certificate is used."""
        with self._lock:
            if self._headers is None or self._monotonic() - self._asked_at > _TOKEN_SECONDS:
                self._headers, self._asked_at = self._read(), self._monotonic()
            return dict(self._headers)

    def renewed(self, refused: Mapping[str, str]) -> dict[str, str]:
        """The header after the server has refused ``refused``. ApiError 401: there are no new credentials; the message says why."""
        with self._lock:
            if self._headers == refused:  # otherwise another thread has renewed it
                try:
                    self._settings = self._load()
                except (OSError, ValueError) as error:
                    since = f"{datetime.now(UTC):%H:%M:%S} UTC"
                    message = f"{self._source}: the server has refused the credentials since {since}, and they cannot be renewed: {error}."
                    raise ApiError(401, "Unauthorized", message) from error
                self._headers, self._asked_at = self._read(), self._monotonic()
            return dict(self._headers or {})

    def _read(self) -> dict[str, str]:
        token = self._settings.auth_settings().get("BearerToken") or {}
        return {token["key"]: token["value"]} if token.get("value") else {}


def kubeconfig_files(path: str) -> list[Path]:
    """Those that exist. path: as KUBECONFIG, several files with colons between them."""
    return [file for file in (Path(name).expanduser() for name in path.split(os.pathsep)) if file.is_file()]


def proxy_url(path: str, context: str | None) -> str:
    """``proxy-url`` of the context's cluster; empty if it has none."""
    import yaml

    texts = [file.read_text(encoding="utf-8") for file in kubeconfig_files(path)]
    if not any("proxy-url" in text for text in texts):  # nearly always; reading YAML takes 5 ms
        return ""
    contexts: dict[str, str] = {}
    proxies: dict[str, str] = {}
    for text in texts:
        found = yaml.safe_load(text) or {}
        context = context or found.get("current-context")
        for one in found.get("contexts") or []:
            contexts.setdefault(one["name"], (one.get("context") or {}).get("cluster", ""))
        for one in found.get("clusters") or []:
            proxies.setdefault(one["name"], (one.get("cluster") or {}).get("proxy-url") or "")
    return proxies.get(contexts.get(context or "", ""), "")


def _settings(files: str, context: str | None) -> Any:
    """A kubernetes.client.Configuration of the kubeconfig, or of the service account where files is empty."""
    import yaml

    whole = any(b"auth-provider" in file.read_bytes() for file in kubeconfig_files(files))
    library = credentials.library(whole)
    settings = library.Configuration()
    try:
        if not files:
            library.config.load_incluster_config(client_configuration=settings)
            return settings
        with credentials.complaints() as complaints:
            library.config.load_kube_config(config_file=files, context=context, client_configuration=settings)
    except (library.config.ConfigException, yaml.YAMLError, *_UNREADABLE) as error:
        raise ValueError(" ".join(str(error).split()) + _unreadable_file(files)) from error
    if complaints and not (settings.cert_file or settings.api_key):
        raise ValueError("; ".join(complaints) + _plugin(files, context))
    settings.proxy = proxy_url(files, context) or settings.proxy
    return settings


def _unreadable_file(files: str) -> str:
    """Which of several files is no kubeconfig; empty where there is one file, whose name the message has."""
    import yaml

    several = kubeconfig_files(files)
    for file in several if len(several) > 1 else ():
        try:
            if isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict):
                continue
        except (OSError, ValueError, yaml.YAMLError):
            pass
        return f" (the file {file} is no kubeconfig)"
    return ""


def _plugin(files: str, context: str | None) -> str:
    """Which credential plugin the context uses; empty if none is found."""
    import yaml

    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in kubeconfig_files(files)]
    context = context or next((str(one["current-context"]) for one in documents if one.get("current-context")), "")
    contexts = {one["name"]: one.get("context") or {} for document in documents for one in document.get("contexts") or []}
    users = {one["name"]: one.get("user") or {} for document in documents for one in document.get("users") or []}
    command = (users.get(contexts.get(context, {}).get("user", ""), {}).get("exec") or {}).get("command")
    return f" (credential plugin {command})" if command else ""


def _in_pod() -> bool:
    return Path("/var/run/secrets/kubernetes.io/serviceaccount/token").is_file()
