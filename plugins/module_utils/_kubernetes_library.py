# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The kubernetes library's reading of credentials and its connection pool, without the classes of the API's 700 types.

Nothing here uses those classes, and importing them takes longer than a module needs to find a thousand objects unchanged. See
docs/decisions/0001-house.md.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module, util
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple


class Library(NamedTuple):
    """kubernetes.client.Configuration, kubernetes.client.rest and kubernetes.config."""

    Configuration: Any
    rest: Any
    config: Any


@cache
def library() -> Library:
    """What is used of the library. ImportError: it is not installed."""
    if "kubernetes" not in sys.modules:
        with contextlib.suppress(ImportError, AttributeError), _apart():  # a version that is laid out otherwise is imported whole
            return _without_types()
    return _parts()


def _parts() -> Library:
    names = ("kubernetes.client.configuration", "kubernetes.client.rest", "kubernetes.config")
    configuration, rest, config = map(import_module, names)
    return Library(configuration.Configuration, rest, config)


def _without_types() -> Library:
    """Its files, under packages whose own ``__init__``, which import all types, are not carried out."""
    found = util.find_spec("kubernetes")
    if found is None or found.origin is None:
        raise ImportError("kubernetes is not installed")
    folder = Path(found.origin).parent
    for name, path in (("kubernetes", folder), ("kubernetes.client", folder / "client"), ("kubernetes.client.models", folder / "none")):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    client: Any = sys.modules["kubernetes.client"]
    client.Configuration = import_module("kubernetes.client.configuration").Configuration  # the names that kubernetes.config asks for
    client.ApiClient = import_module("kubernetes.client.api_client").ApiClient
    return _parts()


@contextlib.contextmanager
def _apart() -> Iterator[None]:
    """Whoever imports kubernetes afterwards gets the whole of it."""
    try:
        yield
    finally:
        for name in [one for one in sys.modules if one.split(".")[0] == "kubernetes"]:
            del sys.modules[name]
