from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._quality import access

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
NGINX = {"metadata": {"name": "nginx"}}
TLS = {"data": {"tls.crt": "x", "tls.key": "x"}}


@pytest.mark.parametrize(("minor", "verdict"), [("36", "pass"), ("28+", "pass"), ("27", "fail"), ("", "fail")])
def test_the_clusters_version(minor, verdict):
    assert access.check_version({"major": "1", "minor": minor, "gitVersion": f"v1.{minor}"}).verdict == verdict


@pytest.mark.parametrize(
    ("wanted", "secret", "verdict", "said"),
    [
        ({}, None, "skipped", "has none"),
        ({"host": "x", "class": "nginx", "tls_secret": "tls"}, TLS, "pass", "TLS by Secret tls"),
        ({"host": "x", "class": "traefik"}, None, "fail", "no IngressClass traefik"),
        ({"host": "x", "class": "nginx", "tls_secret": "tls"}, None, "fail", "Secret tls with tls.crt and tls.key is not there"),
        ({"host": "x", "class": "nginx", "tls_secret": "tls"}, {"data": {"tls.crt": "x"}}, "fail", "Secret tls"),
        ({"host": "x", "class": "nginx"}, None, "pass", "no TLS of its own"),
    ],
)
def test_the_ingress(wanted, secret, verdict, said):
    finding = access.check_ingress(wanted, [NGINX], secret)
    assert (finding.id, finding.verdict, said in finding.message) == ("QG-04", verdict, True), finding.message


@pytest.mark.parametrize(("days", "problem", "verdict"), [(14, "", "pass"), (13, "", "fail"), (90, "SSLError: hostname mismatch", "fail")])
def test_the_certificate(days, problem, verdict):
    finding = access.check_certificate("x", NOW + timedelta(days=days, minutes=1), problem, NOW, 14)
    assert finding.verdict == verdict
    assert access.check_certificate("x", None, "ConnectionRefusedError", NOW, 14).verdict == "fail"


@pytest.mark.parametrize(
    ("addresses", "ingress", "verdict"),
    [([], [], "fail"), (["10.0.0.1"], [], "pass"), (["10.0.0.1"], ["10.0.0.2"], "fail"), (["10.0.0.1", "10.0.0.2"], ["10.0.0.2"], "pass")],
)
def test_the_name(addresses, ingress, verdict):
    assert access.check_dns("x", addresses, ingress).verdict == verdict


WANTED = ["redis-url", "gemini-key"]
URL = "redis://hsc-jit-redis:6379/0"


@pytest.mark.parametrize(
    ("values", "provider", "verdict", "said"),
    [
        ({"redis-url": URL, "gemini-key": "AIzaSyExample7"}, "gemini", "pass", "2 keys"),
        ({"redis-url": URL, "gemini-key": "not-set-offline-answers-only"}, "extractive", "pass", "2 keys"),
        (
            {"redis-url": URL, "gemini-key": "not-set-offline-answers-only"},
            "gemini",
            "fail",
            "gemini-key of hsc-secrets still hold a placeholder",
        ),
        ({"redis-url": "...", "gemini-key": "k"}, "extractive", "fail", "redis-url of hsc-secrets still hold a placeholder"),
        ({"redis-url": URL, "gemini-key": "<your key>"}, "gemini", "fail", "placeholder"),
        ({"redis-url": " ", "gemini-key": "k"}, "extractive", "fail", "redis-url of hsc-secrets are empty"),
        ({"redis-url": URL}, "extractive", "fail", "gemini-key of hsc-secrets are missing"),
    ],
)
def test_the_secrets(values, provider, verdict, said):
    finding = access.check_secrets(WANTED, values, provider)
    assert (finding.verdict, said in finding.message) == (verdict, True), finding.message
    assert not [value for value in values.values() if len(value) > 7 and value in str(finding.as_dict())]
