#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Is the way to the product ready?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: access_check
short_description: Check Ingress, certificate, DNS and secrets of a release
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Looks at the cluster's version, the Ingress class, the certificate that users will see (QG-04), the name's address and the values of the
    product's Secret (QG-05). Nothing is changed, and no value of a Secret is returned.
  - What an environment does not have (no TLS, no Ingress) is V(skipped) with the reason.
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  url:
    description: Address at which users reach the product.
    type: str
    required: true
  ca_file:
    description: Certificate authority of O(url), if the system does not know it.
    type: path
  ingress:
    description: The release's Ingress, C({host, class, tls_secret}); empty if it has none.
    type: dict
    default: {}
  secret_values:
    description: What the release itself will put into the Secret C(hsc-secrets); the rest is read from the cluster.
    type: dict
    default: {}
  secret_keys:
    description: Keys that C(hsc-secrets) must have.
    type: list
    elements: str
    default: [redis-url, gemini-key]
  llm_provider:
    description: Who phrases answers; the Gemini key matters only to C(gemini).
    type: str
    default: extractive
  certificate_days:
    description: For how many days the certificate must still be valid.
    type: int
    default: 14
"""

EXAMPLES = r"""
- name: QG-04 QG-05 | Is the way to the product ready?
  hsc.jit.access_check:
    url: https://support.example.com
    ingress: {host: support.example.com, class: nginx, tls_secret: support-tls}
"""

RETURN = r"""
findings:
  description: All findings of QG-04 and QG-05.
  returned: always
  type: list
  elements: dict
"""

import base64
import socket
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.hsc.jit.plugins.module_utils import _access
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._module import Context, Outcome, Problem, run
from ansible_collections.hsc.jit.plugins.module_utils._target import ApiProblem, Cluster

SPEC = {
    "url": {"type": "str", "required": True},
    "ca_file": {"type": "path"},
    "ingress": {"type": "dict", "default": {}},
    "secret_values": {"type": "dict", "default": {}, "no_log": True},
    "secret_keys": {"type": "list", "elements": "str", "default": ["redis-url", "gemini-key"], "no_log": False},
    "llm_provider": {"type": "str", "default": "extractive"},
    "certificate_days": {"type": "int", "default": 14},
}
_SECONDS = 5.0


def work(context: Context) -> Outcome:
    params, cluster = context.params, context.cluster
    address = urlsplit(params["url"])
    if address.scheme not in ("http", "https") or not address.hostname:
        raise Problem(f"url is {params['url']!r}.", "Give the whole address, https://support.example.com.")
    host, port, ingress = address.hostname, address.port or 443, params["ingress"]
    looks = (
        ("QG-04", lambda: _access.check_version(cluster.get("/version"))),
        ("QG-04", lambda: _ingress(cluster, ingress)),
        ("QG-04", lambda: _certificate(params, address.scheme, host, port, context.now())),
        ("QG-05", lambda: _access.check_dns(host, _addresses(host), _where(cluster, ingress))),
        ("QG-05", lambda: _secrets(cluster, params)),
    )
    return Outcome(findings=[_look(row, one) for row, one in looks])


def _look(row: str, look: Callable[[], Finding]) -> Finding:
    """What may not be looked at is skipped, and does not hide the rest."""
    try:
        return look()
    except ApiProblem as problem:
        if problem.status != 403:
            raise
        step = "Give the deployer the right that the message names, or let somebody look who has it."
        return Finding(row, "skipped", f"Not looked at: {problem.message}", {"reason": problem.reason}, step)


def _ingress(cluster: Cluster, wanted: dict[str, str]) -> Finding:
    classes = cluster.list("/apis/networking.k8s.io/v1/ingressclasses") if wanted else []
    secret = cluster.find(f"{cluster.namespaced('secrets')}/{wanted['tls_secret']}") if wanted.get("tls_secret") else None
    return _access.check_ingress(wanted, classes, secret)


def _certificate(params: Mapping[str, Any], scheme: str, host: str, port: int, now: datetime) -> Finding:
    if scheme == "http":
        return Finding(
            "QG-04", "skipped", f"Certificate: {params['url']} is plain HTTP.", {}, "Set release_url to https://... where users come in."
        )
    context = ssl.create_default_context(cafile=params["ca_file"])
    try:
        with socket.create_connection((host, port), _SECONDS) as plain, context.wrap_socket(plain, server_hostname=host) as secured:
            end = datetime.fromtimestamp(ssl.cert_time_to_seconds(str((secured.getpeercert() or {})["notAfter"])), UTC)
        return _access.check_certificate(host, end, "", now, params["certificate_days"])
    except (OSError, KeyError) as error:  # ssl.SSLError is an OSError
        return _access.check_certificate(host, None, f"{type(error).__name__}: {error}", now, params["certificate_days"])


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
    return _access.check_secrets(params["secret_keys"], values, params["llm_provider"])


def main() -> None:
    run(SPEC, work)


if __name__ == "__main__":
    main()
