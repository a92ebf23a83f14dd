# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The kubernetes library's reading of credentials, without its client for the API and without OpenID Connect.

Nothing here uses those, and importing them takes longer than a module needs to find a thousand objects unchanged. See
docs/decisions/0001-house.md.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

_FOR_PROVIDERS = ("oauthlib", "oauthlib.oauth2", "requests_oauthlib")  # of kubernetes.config, for the auth-provider of a kubeconfig alone


class Library(NamedTuple):
    """kubernetes.client.Configuration and kubernetes.config."""

    Configuration: Any
    config: Any


@cache
def library(whole: bool) -> Library:
    """What is used of the library. whole: for a kubeconfig with an ``auth-provider``. ImportError: it is not installed."""
    if not whole and "kubernetes" not in sys.modules:
        with contextlib.suppress(ImportError, AttributeError), _apart():  # a version that is laid out otherwise is imported whole
            return _light()
    return _parts()


def _parts() -> Library:
    return Library(import_module("kubernetes.client.configuration").Configuration, import_module("kubernetes.config"))


def _light() -> Library:
    """Its files, under packages whose own ``__init__``, which import all the rest, are not carried out."""
    found = util.find_spec("kubernetes")
    if found is None or found.origin is None:
        raise ImportError("kubernetes is not installed")
    folder = Path(found.origin).parent
    for name, path in (("kubernetes", folder), ("kubernetes.client", folder / "client")):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    for name in _FOR_PROVIDERS:
        sys.modules[name] = ModuleType(name)
    client: Any = sys.modules["kubernetes.client"]
    sessions: Any = sys.modules["requests_oauthlib"]
    client.ApiClient = sessions.OAuth2Session = None  # the names that kubernetes.config asks for
    client.Configuration = import_module("kubernetes.client.configuration").Configuration
    return _parts()


@contextlib.contextmanager
def complaints() -> Iterator[list[str]]:
    """What the library logs meanwhile: of a credential plugin that fails it says no more, and goes on without credentials."""
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger().removeHandler(handler)


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Whoever imports these packages afterwards gets the whole of them, and who had them keeps them."""

    def there() -> list[str]:
        return [name for name in sys.modules if name.split(".")[0] in ("kubernetes", *_FOR_PROVIDERS)]

    before = {name: sys.modules[name] for name in there()}
    try:
        yield
    finally:
        for name in there():
            del sys.modules[name]
        sys.modules.update(before)
