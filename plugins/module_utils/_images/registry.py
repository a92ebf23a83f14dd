# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-06 asks a registry whether it has a manifest, as a kubelet would: without credentials, then with those of the pull secrets."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_ACCEPT = ", ".join(
    f"application/vnd.{kind}"
    for kind in (
        "oci.image.manifest.v1+json",
        "oci.image.index.v1+json",
        "docker.distribution.manifest.v2+json",
        "docker.distribution.manifest.list.v2+json",
    )
)
_TIMEOUT = 3.0
Credentials = Mapping[str, str]  # registry's host -> base64 of user:password


@dataclass(frozen=True)
class Answer:
    """What the registry said: HTTP status, or 0 and why there was none."""

    status: int
    why: str = ""


def credentials(secrets: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of Secrets of type kubernetes.io/dockerconfigjson. One that cannot be read is left out: a kubelet does the same."""
    found: dict[str, str] = {}
    for secret in secrets:
        try:
            config = json.loads(base64.b64decode((secret.get("data") or {})[".dockerconfigjson"]))
            for address, one in config["auths"].items():
                pair = one.get("auth") or base64.b64encode(f"{one['username']}:{one['password']}".encode()).decode()
                found[re.sub(r"^https?://", "", address).split("/")[0]] = pair
        except (KeyError, ValueError, AttributeError):
            continue
    for name in ("index.docker.io", "docker.io"):
        if name in found:
            found.setdefault("registry-1.docker.io", found[name])
    return found


def ask(url: str, registry: str, known: Credentials) -> Answer:
    """HEAD of a manifest; a registry that answers 401 is asked once more in the way that it names."""
    import urllib3

    try:
        first = _head(url, {})
        if first.status != 401:
            return Answer(first.status)
        authorization = _authorization(first.headers.get("WWW-Authenticate", ""), known.get(registry))
        return Answer(_head(url, {"Authorization": authorization}).status if authorization else 401)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        return Answer(0, str(error))


def _head(url: str, headers: Mapping[str, str]) -> Any:
    import urllib3

    return urllib3.request("HEAD", url, headers={"Accept": _ACCEPT, **headers}, timeout=_TIMEOUT, retries=False)


def _authorization(challenge: str, pair: str | None) -> str:
    """``Basic ...`` or ``Bearer ...`` for a challenge; empty if there is no way. Public images give anybody a token."""
    import urllib3

    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        return f"Basic {pair}" if pair else ""
    asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    realm = asked.pop("realm", "")
    if scheme.lower() != "bearer" or not realm.startswith("http"):
        return ""
    headers = {"Authorization": f"Basic {pair}"} if pair else {}
    answer = urllib3.request("GET", realm, fields=asked, headers=headers, timeout=_TIMEOUT, retries=False)
    body = answer.json() if answer.status == 200 else {}
    token = body.get("token") or body.get("access_token")
    return f"Bearer {token}" if token else ""
