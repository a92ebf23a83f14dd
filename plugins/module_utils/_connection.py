# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""How the API server is reached: pool, plain socket, proxy; and what the kubernetes library leaves out of a kubeconfig.

``configuration`` is the library's, as ``load_kube_config`` filled it in.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_OPEN_SECONDS = 30.0
_LONGEST_ANSWER = 65536  # of a proxy, before it is none


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


def ended(configuration: Any, now: datetime) -> str:
    """What to say of a client certificate that is valid no more, or not yet, and what to do; empty if it is valid or there is none."""
    if configuration is None or not configuration.cert_file:
        return ""
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate(Path(configuration.cert_file).read_bytes())
    name = certificate.subject.rfc4514_string()
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        return f"the client certificate of {name} ended at {end:%Y-%m-%d %H:%M} UTC. Renew it, or use another context (release_context)."
    if now < begin:
        clocks = f"begins at {begin:%Y-%m-%d %H:%M} UTC, and this machine's clock says {now:%Y-%m-%d %H:%M}"
        return f"the client certificate of {name} {clocks}. Set the clock (timedatectl, chronyc tracking), or wait until then."
    return ""


def proxy_for(configuration: Any) -> str:
    """The proxy for the API server; empty where NO_PROXY names it, or there is none."""
    if not configuration.proxy:
        return ""
    from requests.utils import should_bypass_proxies  # takes as long to import as urllib3

    return "" if should_bypass_proxies(configuration.host, no_proxy=configuration.no_proxy or "") else str(configuration.proxy)


def tls(configuration: Any) -> ssl.SSLContext:
    """As strict as kubectl: a cluster's own authority often lacks the extensions that OpenSSL's strict mode demands.

    ValueError: a file cannot be read, or is not what it should be.
    """
    with _named("its certificate-authority", "is no certificate"):
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if configuration.cert_file:
        with _named("its client-certificate and client-key", "are no pair"):
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


@contextlib.contextmanager
def _named(what: str, wrong: str) -> Iterator[None]:
    """ValueError: what is wrong with that part of the kubeconfig."""
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{what} {wrong} ({error})") from error
    except OSError as error:
        raise ValueError(f"{what} cannot be read ({error})") from error


def pool(configuration: Any, size: int) -> Any:
    """A urllib3.PoolManager for so many requests at the same time.

    One TLS context for all its connections: reading the files takes 2 ms, and the library deletes its own when the module ends, whose lease
    a child goes on renewing.
    """
    import urllib3

    given: dict[str, Any] = {"maxsize": size}
    if configuration.host.startswith("https:"):
        given |= {"ssl_context": tls(configuration), "server_hostname": configuration.tls_server_name or None}
    proxy = proxy_for(configuration)
    if not proxy:
        return urllib3.PoolManager(**given)
    address = urlsplit(proxy)
    secret = f"{unquote(address.username)}:{unquote(address.password or '')}" if address.username else None
    return urllib3.ProxyManager(proxy, proxy_headers=urllib3.make_headers(proxy_basic_auth=secret), **given)


def open_socket(configuration: Any) -> socket.socket:
    """A connection to the API server without anything said yet, TLS and proxy as the pool has them. OSError names what does not answer."""
    address = urlsplit(configuration.host)
    host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
    proxy = proxy_for(configuration)
    plain = _through(proxy, host, port) if proxy else socket.create_connection((host, port), _OPEN_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.scheme != "https":
        return plain
    return tls(configuration).wrap_socket(plain, server_hostname=configuration.tls_server_name or host)


def _through(proxy: str, host: str, port: int) -> socket.socket:
    """A tunnel by CONNECT."""
    address = urlsplit(proxy)
    try:
        link = socket.create_connection((address.hostname or "", address.port or 80), _OPEN_SECONDS)
    except OSError as error:
        raise OSError(f"proxy {address.hostname}:{address.port or 80}: {error}") from error
    if address.scheme == "https":
        link = ssl.create_default_context().wrap_socket(link, server_hostname=address.hostname)
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    words = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if address.username:
        secret = base64.b64encode(f"{unquote(address.username)}:{unquote(address.password or '')}".encode()).decode()
        words.append(f"Proxy-Authorization: Basic {secret}")
    link.sendall("\r\n".join([*words, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_ANSWER:
        block = link.recv(4096)
        if not block:
            break
        answer += block
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if status.split(" ")[1:2] != ["200"]:
        link.close()
        raise OSError(f"proxy {address.hostname}:{address.port or 80} refused {target}: {status or 'it closed the connection'}")
    return link
