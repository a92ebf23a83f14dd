# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""How the API server is reached: pool, plain socket, proxy, TLS.

``configuration`` is the library's, as ``load_kube_config`` filled it in.
"""

from __future__ import annotations

import base64
import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .pool import Pool

_LONGEST_ANSWER = 65536  # of a proxy, before it is none


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
    from requests.utils import should_bypass_proxies  # it takes 50 ms to import

    return "" if should_bypass_proxies(configuration.host, no_proxy=configuration.no_proxy or "") else str(configuration.proxy)


def tls(configuration: Any) -> ssl.SSLContext:
    """For the API server. ValueError: a file cannot be read, or is not what it should be."""
    with _named("its certificate-authority", "is no certificate"):
        context = _checking(configuration.ssl_ca_cert)
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


def pool(configuration: Any, size: int) -> Pool:
    """Connections to the API server, at most ``size`` of them kept.

    One TLS context for all of them: reading the files takes 2 ms, and the library deletes its own when the module ends, whose lease a child
    goes on renewing.
    """
    context = tls(configuration) if configuration.host.startswith("https:") else None
    proxy = proxy_for(configuration)
    if proxy and (scheme := urlsplit(proxy).scheme) not in ("http", "https"):
        raise ValueError(f"its proxy-url has the unsupported scheme {scheme or '(none)'}; http and https are known")
    to_proxy = _proxy_tls(configuration) if urlsplit(proxy).scheme == "https" else None

    def open_socket(seconds: float) -> socket.socket:
        """A connection to the API server without anything said yet. OSError names what does not answer."""
        address = urlsplit(configuration.host)
        host, port = address.hostname or "", address.port or (443 if address.scheme == "https" else 80)
        plain = _through(proxy, to_proxy, host, port, seconds) if proxy else _opened(host, port, seconds)
        return plain if context is None else context.wrap_socket(plain, server_hostname=configuration.tls_server_name or host)

    return Pool(open_socket, urlsplit(configuration.host).netloc, size)


def _proxy_tls(configuration: Any) -> ssl.SSLContext:
    """For a proxy kubectl trusts the cluster's authority, and everybody else the system's; here either will do."""
    context = _checking(None)
    if configuration.ssl_ca_cert:
        context.load_verify_locations(configuration.ssl_ca_cert)
    return context


def _checking(authority: str | None) -> ssl.SSLContext:
    """As strict as kubectl: a cluster's own authority often lacks the extensions that OpenSSL's strict mode demands. None: the system's."""
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _opened(host: str, port: int, seconds: float) -> socket.socket:
    link = socket.create_connection((host, port), seconds)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


def _through(proxy: str, context: ssl.SSLContext | None, host: str, port: int, seconds: float) -> socket.socket:
    """A tunnel by CONNECT. context: of a proxy that speaks TLS."""
    address = urlsplit(proxy)
    its_port = address.port or (443 if context else 80)
    near = f"proxy {address.hostname}:{its_port}"
    try:
        link = _opened(address.hostname or "", its_port, seconds)
        link = context.wrap_socket(link, server_hostname=address.hostname) if context else link
    except OSError as error:
        raise OSError(f"{near}: {error}") from error
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
        raise OSError(f"{near} refused {target}: {status or 'it closed the connection'}")
    return _bridged(link) if isinstance(link, ssl.SSLSocket) else link


def _bridged(link: ssl.SSLSocket) -> socket.socket:
    """A plain socket to what lies behind ``link``, whose bytes a thread carries: Python's TLS needs one below it."""
    near, far = socket.socketpair()
    link.settimeout(None)
    threading.Thread(target=_carry, args=(far, link), daemon=True).start()
    return near


def _carry(plain: socket.socket, link: ssl.SSLSocket) -> None:
    """Until one of the two ends."""
    with plain, link, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
        selector.register(plain, selectors.EVENT_READ)
        selector.register(link, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if plain.fileno() in ready:
                if not (sent := plain.recv(65536)):
                    return
                link.sendall(sent)
            if link.fileno() in ready:
                if (come := _decrypted(link)) == b"":
                    return
                plain.sendall(come or b"")


def _decrypted(link: ssl.SSLSocket) -> bytes | None:
    """All that has come; empty at the end, None where it was nothing for us (TLS sends tickets, too)."""
    link.setblocking(False)
    try:
        block = link.recv(65536)
        while link.pending():
            block += link.recv(65536)
    except ssl.SSLWantReadError:
        return None
    finally:
        link.setblocking(True)
    return block
