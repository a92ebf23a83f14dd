import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images.availability import check, parse, used
from ansible_collections.hsc.jit.plugins.module_utils._images.registry import Answer

DIGEST = "sha256:" + "a" * 64
HERE, HUB = f"localhost:5001/hsc-jit-service@{DIGEST}", f"registry.example.com/team/app:v1@{DIGEST}"


@pytest.mark.parametrize(
    ("reference", "registry", "repository", "digest"),
    [
        (HERE, "localhost:5001", "hsc-jit-service", DIGEST),
        (HUB, "registry.example.com", "team/app", DIGEST),
        ("redis:7", "registry-1.docker.io", "library/redis", ""),
        ("docker.io/grafana/grafana:11", "registry-1.docker.io", "grafana/grafana", ""),
        ("index.docker.io/redis:7", "registry-1.docker.io", "library/redis", ""),
        ("docker.io/library/redis:7", "registry-1.docker.io", "library/redis", ""),
        ("grafana/grafana:11", "registry-1.docker.io", "grafana/grafana", ""),
        ("localhost/x@sha256:short", "localhost", "x", ""),
    ],
)
def test_references_are_read_as_container_engines_read_them(reference, registry, repository, digest):
    image = parse(reference)
    assert (image.registry, image.repository, image.digest) == (registry, repository, digest)


def test_only_a_loopback_registry_is_asked_without_tls():
    assert parse(HERE).url == f"http://localhost:5001/v2/hsc-jit-service/manifests/{DIGEST}"
    assert parse(HUB).url.startswith("https://registry.example.com/v2/team/app/")


def test_every_place_of_an_image_is_known():
    pod = {"containers": [{"name": "c", "image": HERE}], "initContainers": [{"name": "i", "image": HERE}]}
    objects = [{"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"template": {"spec": pod}}}]
    where = ["Deployment web: spec.template.spec.initContainers[0].image", "Deployment web: spec.template.spec.containers[0].image"]
    assert used(objects, {"service": HERE}) == {HERE: [*where, "release_images.service"]}


@pytest.mark.parametrize(
    ("reference", "answer", "verdict", "says"),
    [
        (HERE, Answer(200), "pass", "All 1 images"),
        (HERE, Answer(404), "fail", "its registry does not have it"),
        (HERE, Answer(0, "connection refused"), "fail", "does not answer (connection refused)"),
        (HUB, Answer(401), "skipped", "wants other credentials"),
        (HUB, Answer(0, "timed out"), "skipped", "the nodes may still reach it"),
        (HUB, Answer(503), "skipped", "HTTP 503"),
        ("localhost:5001/x:v3.2", None, "fail", "not named by digest"),
    ],
)
def test_verdicts(reference, answer, verdict, says):
    (finding,) = check({reference: ["Deployment web: image"]}, {reference: answer} if answer else {})
    assert (finding.id, finding.verdict) == ("PF-06", verdict) and says in finding.message


def test_no_image_at_all_is_not_clean():
    assert check({}, {})[0].verdict == "skipped"
