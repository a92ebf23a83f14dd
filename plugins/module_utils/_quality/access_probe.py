# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""QG-04 and QG-05: asks cluster, name service and the door that users come in by. Reads only; ``_quality/access`` judges."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from .._checks import Check, run_checks
from .._finding import Finding
from .._kube.client import Cluster
from .._module import Context
from . import access

_SECONDS = 5.0  # for the door to answer


def look(context: Context) -> list[Finding]:
    """By the options of ``access_check``; its url is an address with a host. What may not be looked at does not hide the rest."""
    params, cluster, ingress = context.params, context.cluster, context.params["ingress"]
    host = urlsplit(params["url"]).hostname or ""
    checks: tuple[Check, ...] = (
        ("QG-04", lambda: [access.check_version(cluster.get("/version"))]),
        ("QG-04", lambda: [_ingress(cluster, ingress)]),
        ("QG-04", lambda: [_certificate(params, host, context.now())]),
        ("QG-05", lambda: [access.check_dns(host, _addresses(host), _where(cluster, ingress))]),
        ("QG-05", lambda: [_secrets(cluster, params)]),
    )
    return run_checks(checks, 1)


def _ingress(cluster: Cluster, wanted: dict[str, str]) -> Finding:
    classes = cluster.list("/apis/networking.k8s.io/v1/ingressclasses") if wanted else []
    secret = cluster.find(f"{cluster.namespaced('secrets')}/{wanted['tls_secret']}") if wanted.get("tls_secret") else None
    return access.check_ingress(wanted, classes, secret)


def _certificate(params: Mapping[str, Any], host: str, now: datetime) -> Finding:
    address = urlsplit(params["url"])
    if address.scheme == "http":
        return Finding(
            "QG-04", "skipped", f"Certificate: {params['url']} is plain HTTP.", {}, "Set release_url to https://... where users come in."
        )
    context = ssl.create_default_context(cafile=params["ca_file"])
    try:
        with (
            socket.create_connection((host, address.port or 443), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"])), UTC)
        return access.check_certificate(host, end, "", now, params["certificate_days"])
    except (OSError, KeyError) as error:  # ssl.SSLError is an OSError
        return access.check_certificate(host, None, f"{type(error).__name__}: {error}", now, params["certificate_days"])


def _addresses(host: str) -> list[str]:
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None)})
    except OSError:
        return []


def _where(cluster: Cluster, wanted: dict[str, str]) -> list[str]:
    """Addresses that the deployed Ingress reports; names are resolved. Empty before a first release."""
    if not wanted:
        return []
    found: list[str] = []
    for ingress in cluster.list(cluster.namespaced("ingresses", "/apis/networking.k8s.io/v1")):
        for one in ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
            found += [one["ip"]] if one.get("ip") else _addresses(one.get("hostname", ""))
    return sorted(set(found))


def _secrets(cluster: Cluster, params: Mapping[str, Any]) -> Finding:
    live = cluster.find(f"{cluster.namespaced('secrets')}/hsc-secrets") or {}
    values = {key: base64.b64decode(value).decode("utf-8", "replace") for key, value in (live.get("data") or {}).items()}
    values |= {key: str(value) for key, value in params["secret_values"].items()}
    return access.check_secrets(params["secret_keys"], values, params["llm_provider"])
