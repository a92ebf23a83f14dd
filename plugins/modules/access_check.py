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

from urllib.parse import urlsplit

from ..module_utils._errors import OperatorError
from ..module_utils._module import Context, Outcome, run
from ..module_utils._quality import access_probe

SPEC = {
    "url": {"type": "str", "required": True},
    "ca_file": {"type": "path"},
    "ingress": {"type": "dict", "default": {}},
    "secret_values": {"type": "dict", "default": {}, "no_log": True},
    "secret_keys": {"type": "list", "elements": "str", "default": ["redis-url", "gemini-key"], "no_log": False},
    "llm_provider": {"type": "str", "default": "extractive"},
    "certificate_days": {"type": "int", "default": 14},
}


def work(context: Context) -> Outcome:
    address = urlsplit(context.params["url"])
    if address.scheme not in ("http", "https") or not address.hostname:
        raise OperatorError(f"url is {context.params['url']!r}.", "Give the whole address, https://support.example.com.")
    return Outcome(findings=access_probe.look(context))


def main() -> None:
    run(SPEC, work)


if __name__ == "__main__":
    main()
