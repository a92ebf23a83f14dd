# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""An inventory's settings against what they must be: unknown names, wrong kinds and units, impossible combinations. Pure: no I/O.

To add a setting: its line in RULES (or none, if any value will do), and what excludes what in ``_together``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .._finding import VERDICTS
from .._images.recipes import RECIPES
from .._kube.quantities import parse_quantity
from .values import (  # fmt: skip
    Check,
    address,
    boolean,
    cron,
    each,
    matching,
    nearest,
    number,
    one_of,
    quantity,
    recorded,
    text,
    texts,
)

_SIZE = re.compile(r"(\d+)(B|KB|MB|GB|TB)")  # Prometheus' own, of 1024
_SIZES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PATH = re.compile(r"/[!-~]*")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


Fields = Mapping[str, Check]
_REPLICAS = ("backend_min", "backend_max", "answer", "worker")
# Settings that are one value.
RULES: Mapping[str, Check] = {
    "release_namespace": matching(_LABEL, "hsc-jit: small letters, digits and -"),
    "release_url": address,
    "release_manual_base_url": address,
    "release_alert_pages": address,
    "release_allowed_origins": each(address),
    "release_strategy": one_of("rolling", "canary"),
    "release_llm_provider": one_of("extractive", "gemini"),
    "release_log_level": one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "release_web_worker": one_of("gevent", "gthread"),
    "release_requests_per_second": number(0),
    "release_to": recorded,
    "release_trusted_proxies": number(0, 10),
    "release_ping_seconds": number(1, 3600),
    "release_node_scale_up_seconds": number(0, 3600),
    "release_connection_seconds": number(0),
    "release_fail_on": each(one_of(*VERDICTS)),
    "rollout_wait_seconds": number(1, 3600),
    "rollout_history_limit": number(1, 100),
    "rollout_scrape_seconds": number(1, 300),
    "rollout_backup_days": number(1, 3650),
    "preflight_disk_free_bytes": number(0),
    "preflight_backup_age_hours": number(1),
    **dict.fromkeys(
        (
            "release_local_cluster",
            "release_manuals_server",
            "release_grafana",
            "release_alert_webhook",
            "release_force_conflicts",
            "release_restore_on_failure",
            "rollout_node_metrics",
            "verify_browser",
        ),
        boolean,
    ),
}
# Settings with fields: (those that must be there, those that may).
SHAPES: Mapping[str, tuple[Fields, Fields]] = {
    "release_replicas": ({name: number(0 if name in ("answer", "worker") else 1, 100) for name in _REPLICAS}, {}),
    "release_pod_spec": (
        {},
        {
            "imagePullSecrets": each(texts("{name: registry}", "name")),
            "nodeSelector": texts("{disk: ssd}"),
            "tolerations": each(texts("{key: dedicated, operator: Exists}", "key", "operator", "value", "effect")),
            "priorityClassName": matching(_HOST, "high"),
        },
    ),
    "release_storage": ({"class": text} | dict.fromkeys(("redis", "postgres", "prometheus", "backups"), quantity), {}),
    "release_node_ports": ({}, dict.fromkeys(("backend", "page", "prometheus"), number(30000, 32767))),
    "release_canary": (
        {
            "percent": each(number(1, 99)),
            "seconds": number(1, 3600),
            "rate_per_second": number(1, 200),
            "path": matching(_PATH, "/api/search?q=td17"),
        },
        {},
    ),
    "release_ingress": (
        {},
        {"host": matching(_HOST, "support.example.com"), "class": matching(_LABEL, "nginx"), "tls_secret": matching(_HOST, "support-tls")},
    ),
    # Whether each is a digest that the registry has is PF-06's.
    "release_images": ({}, dict.fromkeys([*RECIPES, "grafana"], text)),
    "rollout_metrics_retention": ({"time": matching(re.compile(r"\d+[hdwy]"), "30d"), "size": matching(_SIZE, "15GB")}, {}),
    "rollout_schedules": (dict.fromkeys(("backup", "cleanup", "optimise", "restore_drill"), cron), {}),
    "rollout_hpa_percent": (dict.fromkeys(("cpu", "memory"), number(1, 1000)), {}),
}


# Prefixes of our names, what is looked at, and facts that phases hand on, which are no settings.
PREFIXES = (
    "release_", "rollout_", "quality_", "preflight_", "backup_", "migrate_", "verify_", "notify_", "restore_", "operate_", "images_",
    "local_cluster_",
)  # fmt: skip
LOOKED_AT = frozenset({*RULES, *SHAPES, "release_secret_values"})
# No part of the fingerprint: secrets (a hook's address is one), what only this run or this machine knows, and what installs nothing.
_NOT_HASHED = frozenset(
    {
        "release_secret_values", "release_to", "release_saved_plan", "release_kubeconfig", "release_context", "release_journal",
        "release_objects", "release_plan", "release_schema_revision", "release_inventory_hash", "release_way_back",
    }
)  # fmt: skip
_NOT_HASHED_BEGINNINGS = ("notify_", "restore_", "operate_", "images_", "local_cluster_")
_NOT_HASHED_ENDS = ("_dir", "_directory", "_file")
FACTS = frozenset(
    {
        "release_run_id", "rollout_objects", "rollout_plan", "rollout_previous", "backup_result", "migrate_result",
        "migrate_plan", "restore_result", "operate_result", "images_built",
    }
)  # fmt: skip


def problems(values: Mapping[str, Any], names: Collection[str], known: Collection[str]) -> list[str]:
    """All that is wrong, a sentence each. values: of the settings LOOKED_AT; names: of every variable; known: of every setting there is."""
    found = [_sentence(f"{name} is no setting{why}") for name in sorted(names) if (why := _unknown(name, known))]
    for name, check in RULES.items():
        if name in values and (why := check(values[name])):
            found.append(_sentence(f"{name} is {values[name]!r}: {why}"))
    for name in SHAPES:
        if name in values:
            found += _shape(name, values[name])
    return found or list(_together(values))


def hashed(known: Collection[str]) -> set[str]:
    """The settings of an environment, by whose values two releases are known to be of the same inventory."""
    names = {name for name in known if not name.startswith(_NOT_HASHED_BEGINNINGS) and not name.endswith(_NOT_HASHED_ENDS)}
    return names - FACTS - _NOT_HASHED


def fingerprint(values: Mapping[str, Any]) -> str:
    """SHA-256 of the values of the settings that are ``hashed``."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def _unknown(name: str, known: Collection[str]) -> str:
    """Why a name that none of ours is looks as if it were meant to be: it begins like one, or is nearly one. Others are other people's."""
    if name in known:
        return ""
    if name.startswith(PREFIXES):
        return nearest(name, known) or "; see roles/release/defaults/main.yml and the roles' defaults"
    return nearest(name, known) if difflib.get_close_matches(name, known, 1, 0.88) else ""


def _sentence(words: str) -> str:
    return words if words.endswith("?") else f"{words}."


def _shape(name: str, value: Any) -> Iterator[str]:
    needed, optional = SHAPES[name]
    fields = {**needed, **optional}
    if not isinstance(value, Mapping):
        yield f"{name} is {value!r}: write {{{', '.join(fields)}}}."
        return
    for key in value:
        if key not in fields:
            yield _sentence(f"{name}.{key} is no field{nearest(str(key), fields) or '; fields are ' + ', '.join(fields)}")
    if missing := [key for key in needed if key not in value]:
        yield f"{name} lacks {', '.join(missing)}: a value in an inventory replaces the whole default, so write all of its fields."
    for key, check in fields.items():
        if key in value and (why := check(value[key])):
            yield _sentence(f"{name}.{key} is {value[key]!r}: {why}")


def _together(given: Mapping[str, Any]) -> Iterator[str]:
    """What excludes what; asked only where each value is right by itself."""
    replicas, ports, ingress = (given.get(f"release_{name}") or {} for name in ("replicas", "node_ports", "ingress"))
    if replicas and int(replicas["backend_min"]) > int(replicas["backend_max"]):
        yield f"release_replicas.backend_min is {replicas['backend_min']}, above backend_max, {replicas['backend_max']}."
    if len(set(map(int, ports.values()))) < len(ports):
        yield f"release_node_ports: {dict(ports)} names one port twice."
    if ports and set(ports) != {"backend", "page", "prometheus"}:
        yield f"release_node_ports has {', '.join(ports)}: name backend, page and prometheus, or none of them."
    if ingress and "host" not in ingress:
        yield "release_ingress.host is missing: an Ingress needs the name that users type."
    if ingress.get("tls_secret") and str(given.get("release_url", "https:")).startswith("http:"):
        yield "release_ingress.tls_secret is set, and release_url is http://...: users would not come in by TLS. Write https://..."
    if _true(given.get("release_grafana")) and "release_images" in given and "grafana" not in given["release_images"]:
        yield "release_grafana is true, and release_images names no grafana: add it by digest."
    yield from _secrets(given)
    retention, storage = given.get("rollout_metrics_retention"), given.get("release_storage")
    if retention and storage:
        size = _SIZE.fullmatch(retention["size"])
        if size and int(size[1]) * _SIZES[size[2]] > 0.9 * parse_quantity(storage["prometheus"]):
            yield (
                f"rollout_metrics_retention.size is {retention['size']}, and the volume, release_storage.prometheus, is "
                f"{storage['prometheus']}: Prometheus needs a tenth of it for itself."
            )


def _true(value: Any) -> bool:
    """Also as text, as -e and surveys send it."""
    return str(value).lower() in ("true", "yes")


def _secrets(given: Mapping[str, Any]) -> Iterator[str]:
    values = given.get("release_secret_values") or {}
    for setting, wanted, key in (
        ("release_llm_provider", "gemini", "gemini-key"),
        ("release_alert_webhook", True, "alert-webhook-url"),
        ("release_grafana", True, "grafana-password"),
    ):
        chosen = _true(given.get(setting)) if wanted is True else given.get(setting) == wanted
        if values and chosen and not values.get(key):
            yield f"{setting} is {str(wanted).lower()}, and release_secret_values has no {key}."
