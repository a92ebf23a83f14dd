# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""QG-04 and QG-05: the way to the product (version, Ingress, certificate, DNS) and its secrets. Pure: ``access_check`` asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._finding import Finding

OLDEST = (1, 28)  # where what the manifests use is in every supported cluster
# A value that somebody forgot to replace. Whole values only: a real secret may hold such letters somewhere.
_PLACEHOLDER = re.compile(
    r"(?:\.{3}|<.*>|\$\{.*\}|x{3,}|\*{3,}|change-?me.*|replace-?me.*|todo.*|secret|password|example|dummy|test|your[-_ ].*|not-set.*|none)",
    re.I,
)


def check_version(version: Mapping[str, str]) -> Finding:
    """version: the answer of ``/version``."""
    said = version.get("gitVersion", "?")
    numbers = tuple(int(re.sub(r"\D.*", "", version.get(part, "") or "0") or 0) for part in ("major", "minor"))
    if numbers < OLDEST:
        step = "Update the cluster, or deploy to a newer one."
        return Finding("QG-04", "fail", f"Kubernetes is {said}; {OLDEST[0]}.{OLDEST[1]} is the oldest.", {"version": said}, step)
    return Finding("QG-04", "pass", f"Kubernetes {said} answers.", {"version": said})


def check_ingress(wanted: Mapping[str, Any], classes: Sequence[Mapping[str, Any]], tls_secret: Mapping[str, Any] | None) -> Finding:
    """wanted: ``release_ingress``. classes: the cluster's IngressClasses. tls_secret: the Secret it names, None if it is not there."""
    names = sorted(one["metadata"]["name"] for one in classes)
    evidence = {"wanted": dict(wanted), "classes": names}
    if not wanted:
        step = "Set release_ingress {host, class, tls_secret} where users come through one."
        return Finding("QG-04", "skipped", "Ingress: this environment has none (release_ingress is empty).", evidence, step)
    if wanted.get("class") and wanted["class"] not in names:
        step = f"Install its controller, or set release_ingress.class to one of: {', '.join(names) or '(the cluster has none)'}."
        return Finding("QG-04", "fail", f"Ingress: the cluster has no IngressClass {wanted['class']}.", evidence, step)
    secret = wanted.get("tls_secret")
    if secret and (tls_secret is None or set(tls_secret.get("data") or {}) < {"tls.crt", "tls.key"}):
        step = f"kubectl create secret tls {secret} --cert=... --key=..., or let cert-manager make it."
        return Finding("QG-04", "fail", f"Ingress: Secret {secret} with tls.crt and tls.key is not there.", evidence, step)
    tls = f"TLS by Secret {secret}" if secret else "no TLS of its own"
    return Finding("QG-04", "pass", f"Ingress: class {wanted.get('class') or '(default)'} is there; {tls}.", evidence)


def check_certificate(host: str, not_after: datetime | None, problem: str, now: datetime, least_days: int) -> Finding:
    """not_after: the end of the certificate that the host showed, whose chain and name were verified. problem: why that was not so."""
    evidence = {"host": host, "not_after": not_after.isoformat() if not_after else None, "least_days": least_days}
    if problem or not_after is None:
        step = "Chain, name or end of the certificate must be renewed where TLS ends; openssl s_client -connect HOST:443 shows it."
        return Finding("QG-04", "fail", f"Certificate of {host}: {problem or 'none was shown'}", evidence, step)
    days = (not_after - now) // timedelta(days=1)
    if days < least_days:
        message = f"Certificate of {host} ends in {days} days, on {not_after:%Y-%m-%d}; {least_days} are wanted."
        return Finding("QG-04", "fail", message, evidence, "Renew it.")
    return Finding("QG-04", "pass", f"Certificate of {host}: chain and name are right, {days} days left.", evidence)


def check_dns(host: str, addresses: Sequence[str], ingress: Sequence[str]) -> Finding:
    """addresses: what the name resolves to. ingress: where the cluster's Ingress is, empty if it does not say."""
    evidence = {"host": host, "addresses": list(addresses), "ingress": list(ingress)}
    if not addresses:
        return Finding("QG-05", "fail", f"DNS: {host} resolves to nothing.", evidence, "Make its record, or wait until it has spread.")
    if ingress and not set(addresses) & set(ingress):
        message = f"DNS: {host} is {', '.join(addresses)}; the Ingress is at {', '.join(ingress)}."
        return Finding("QG-05", "fail", message, evidence, "Point the record there.")
    return Finding("QG-05", "pass", f"DNS: {host} is {', '.join(addresses)}{', where the Ingress is' if ingress else ''}.", evidence)


def check_secrets(wanted: Sequence[str], values: Mapping[str, str], provider: str) -> Finding:
    """wanted: keys of hsc-secrets. values: what they will hold; looked at here and kept nowhere. provider: release_llm_provider."""
    missing = sorted(set(wanted) - set(values))
    # Nothing but Gemini reads its key; Redis' address is no word of any list.
    placeholders = sorted(
        key for key, value in values.items() if _PLACEHOLDER.fullmatch(value.strip()) and not (key == "gemini-key" and provider != "gemini")
    )
    empty = sorted(key for key, value in values.items() if not value.strip())
    evidence = {"keys": sorted(values), "missing": missing, "placeholders": placeholders, "empty": empty}
    step = "kubectl create secret generic hsc-secrets --from-literal=..., or release_secret_values in a vault file."
    for names, said in ((missing, "are missing"), (empty, "are empty"), (placeholders, "still hold a placeholder")):
        if names:
            return Finding("QG-05", "fail", f"Secrets: {', '.join(names)} of hsc-secrets {said}.", evidence, step)
    return Finding("QG-05", "pass", f"Secrets: {len(values)} keys of hsc-secrets are set, none is a placeholder.", evidence)
