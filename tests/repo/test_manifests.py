"""Every manifest renders for every inventory, is valid against the API's schema, and keeps the rules that a reviewer would look for."""

import ast
import json
import re

import kubernetes_validate
import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images.recipes import RECIPES
from ansible_collections.hsc.jit.plugins.module_utils._kube.objects import pod_template
from playbook import ROOT, play

INVENTORIES = sorted(path.name for path in (ROOT / "inventories").iterdir())
VALUES = {"release_images": {name: f"registry.example/{name}@sha256:{'0' * 64}" for name in RECIPES}, "release_local_cluster": False}


@pytest.fixture(scope="module", params=INVENTORIES)
def files(request, tmp_path_factory):
    """kubernetes/*.yaml as playbooks/render.yml writes them: {file name: [object]}"""
    import yaml

    out = tmp_path_factory.mktemp(request.param)
    result = play("playbooks/render.yml", inventory=f"inventories/{request.param}", **VALUES, rollout_output_dir=str(out))
    assert result.returncode == 0, result.stdout
    return {path.name: list(yaml.safe_load_all(path.read_text())) for path in out.iterdir()}


@pytest.fixture
def objects(files):
    return [obj for objects in files.values() for obj in objects]


def test_the_guides_three_files_are_written(files):
    assert set(files) == {"backend-deployment.yaml", "monitoring.yaml", "maintenance.yaml"}
    assert {("Deployment", "hsc-jit-backend"), ("HorizontalPodAutoscaler", "hsc-jit-backend"), ("Namespace", "hsc-jit")} <= {
        (obj["kind"], obj["metadata"]["name"]) for obj in files["backend-deployment.yaml"]
    }
    assert {obj["kind"] for obj in files["maintenance.yaml"]} >= {"CronJob"}


def test_the_committed_files_are_what_the_templates_say(tmp_path):
    """kubernetes/ is production's render with production's own images; a digest may be older than the commit, nothing else."""
    result = play("playbooks/render.yml", inventory="inventories/production", rollout_output_dir=str(tmp_path))
    assert result.returncode == 0, result.stdout
    rendered, committed = ({path.name: masked(path) for path in folder.glob("*.yaml")} for folder in (tmp_path, ROOT / "kubernetes"))
    assert rendered == committed, "run `make render INVENTORY=inventories/production`"


def masked(path):
    return re.sub(r"@sha256:[0-9a-f]{64}", "@sha256:DIGEST", path.read_text())


def test_every_object_is_valid(objects):
    for obj in objects:
        kubernetes_validate.validate(obj, "1.36", strict=True)


def test_no_object_twice(objects):
    names = [(obj["kind"], obj["metadata"]["name"]) for obj in objects]
    assert len(names) == len(set(names))


def test_pods_are_restricted_pinned_and_sized(objects):
    checked = 0
    for obj in objects:
        template = pod_template(obj)
        if template is None:
            continue
        spec, name = template["spec"], obj["metadata"]["name"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert template["metadata"]["labels"]["app"] == name
        for container in spec["containers"]:
            checked += 1
            security = container["securityContext"]
            assert not security["allowPrivilegeEscalation"], name
            assert security["readOnlyRootFilesystem"], name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert "@sha256:" in container["image"], name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert container["resources"]["limits"]["memory"], name
    assert checked > 10


def test_selectors_find_their_pods(objects):
    labels = [template["metadata"]["labels"] for obj in objects if (template := pod_template(obj))]
    for obj in objects:
        if obj["kind"] == "Service":
            selector = obj["spec"]["selector"]
        elif obj["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            selector = obj["spec"]["selector"]["matchLabels"]
        else:
            continue
        assert any(selector.items() <= one.items() for one in labels), obj["metadata"]["name"]


def test_what_an_autoscaler_scales_sets_no_replicas(objects):
    scaled = {obj["spec"]["scaleTargetRef"]["name"] for obj in objects if obj["kind"] == "HorizontalPodAutoscaler"}
    assert scaled
    for obj in objects:
        if obj["kind"] == "Deployment":
            assert ("replicas" in obj["spec"]) is (obj["metadata"]["name"] not in scaled)


CONFIG = ast.parse((ROOT / "service/app/config.py").read_text())


def test_the_services_settings_are_explained(objects):
    (settings,) = [obj["data"] for obj in objects if obj["metadata"]["name"] == "hsc-jit-config"]
    assert set(settings) <= set(re.findall(r"^(HSC_\w+) ", ast.get_docstring(CONFIG), re.M))


def test_a_releases_defaults_are_the_services():
    import yaml

    release = yaml.safe_load((ROOT / "roles/release/defaults/main.yml").read_text())
    (fields,) = [node.body for node in CONFIG.body if isinstance(node, ast.ClassDef) and node.name == "Config"]
    defaults = {
        node.target.id: node.value.value for node in fields if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)
    }
    for name in ("requests_per_second", "trusted_proxies", "ping_seconds", "connection_seconds"):
        assert release[f"release_{name}"] == defaults[name], name
    assert f'os.environ.get("HSC_WORKER") or "{release["release_web_worker"]}"' in (ROOT / "service/app/gunicorn.conf.py").read_text()


def config_of(objects, name):
    (found,) = [obj["data"] for obj in objects if (obj["kind"], obj["metadata"]["name"]) == ("ConfigMap", name)]
    return found


def test_what_says_that_it_has_metrics_has_them_at_a_port_that_monitoring_may_reach(objects):
    (policy,) = [obj for obj in objects if obj["metadata"]["name"] == "hsc-jit-metrics-ingress"]
    opened = {port["port"] for port in policy["spec"]["ingress"][0]["ports"]}
    scraped = {}
    for obj in objects:
        template = pod_template(obj)
        annotations = (template or {}).get("metadata", {}).get("annotations", {})
        if annotations.get("prometheus.io/scrape") == "true":
            ports = {port["containerPort"] for container in template["spec"]["containers"] for port in container.get("ports", [])}
            assert int(annotations["prometheus.io/port"]) in ports, obj["metadata"]["name"]
            scraped[obj["metadata"]["name"]] = int(annotations["prometheus.io/port"])
    assert {"hsc-jit-backend", "hsc-jit-answer", "hsc-jit-worker", "hsc-jit-postgres-exporter", "hsc-jit-prometheus"} <= set(scraped)
    assert set(scraped.values()) - {9090} == opened


def test_each_alert_has_its_page_and_says_how_bad_it_is(objects):
    import yaml

    (group,) = yaml.safe_load(config_of(objects, "hsc-jit-prometheus-config")["rules.yml"])["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/operations/alerts/{rule['alert']}.md")
    pages = {path.stem: path.read_text() for path in (ROOT / "docs/operations/alerts").glob("*.md")}
    assert {rule["alert"] for rule in group["rules"]} == set(pages)
    for name, page in pages.items():
        assert page.startswith(f"# {name}\n")
        assert re.findall(r"^\*\*(\w+)\.\*\*", page, re.MULTILINE) == ["Meaning", "Impact", "Diagnosis", "Mitigation"], name


def test_alerts_and_panels_ask_for_metrics_that_somebody_exports(objects):
    import yaml

    (group,) = yaml.safe_load(config_of(objects, "hsc-jit-prometheus-config")["rules.yml"])["groups"]
    dashboard = json.loads(config_of(objects, "hsc-jit-dashboards")["overview.json"])
    assert dashboard["title"] == "HSC-JIT Overview"
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"]) >= 16
    ours = "".join((ROOT / "service/app" / name).read_text() for name in ("metrics.py", "core/tasks.py"))
    for query in [rule["expr"] for rule in group["rules"]] + [panel["targets"][0]["expr"] for panel in dashboard["panels"]]:
        for name in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b(?![\s]*[(=])", re.sub(r'by \(.*?\)|"[^"]*"', "", query)):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            theirs = name.startswith(("redis_", "pg_", "process_", "container_", "alertmanager_"))
            assert theirs or f'"{base}"' in ours, f"{name} in {query}"


def test_grafana_is_valid_where_there_is_one(tmp_path):
    import yaml

    images = {**VALUES["release_images"], "grafana": f"registry.example/grafana@sha256:{'0' * 64}"}
    values = {**VALUES, "release_images": images, "release_grafana": True, "rollout_output_dir": str(tmp_path)}
    result = play("playbooks/render.yml", inventory="inventories/staging", **values)
    assert result.returncode == 0, result.stdout
    objects = {(obj["kind"], obj["metadata"]["name"]): obj for obj in yaml.safe_load_all((tmp_path / "monitoring.yaml").read_text())}
    kubernetes_validate.validate(objects["Deployment", "hsc-jit-grafana"], "1.36", strict=True)
    source = yaml.safe_load(objects["ConfigMap", "hsc-jit-grafana-config"]["data"]["datasource.yml"])["datasources"][0]
    assert (source["uid"], source["url"]) == ("prometheus", "http://hsc-jit-prometheus:9090")


def test_cron_jobs_do_not_overlap_and_end(objects):
    jobs = {obj["metadata"]["name"]: obj["spec"] for obj in objects if obj["kind"] == "CronJob"}
    assert {name: spec["schedule"] for name, spec in jobs.items()} == {
        "hsc-jit-backup": "0 2 * * *",
        "hsc-jit-cleanup": "0 3 * * *",
        "hsc-jit-optimise": "20 3 * * *",
        "hsc-jit-restore-drill": "0 4 * * 0",
    }
    for name, spec in jobs.items():
        assert spec["concurrencyPolicy"] == "Forbid", name
        assert spec["startingDeadlineSeconds"] == spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3600, name
        assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"]) == (3, 3), name


def compose():
    import yaml

    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_docker_compose_opens_the_guides_doors_to_this_machine_alone():
    ports = {name: service["ports"] for name, service in compose()["services"].items() if "ports" in service}
    assert ports == {
        "backend": ["127.0.0.1:${HSC_PORT_PAGE:-5173}:8000", "127.0.0.1:${HSC_PORT_API:-8000}:8000"],
        "grafana": ["127.0.0.1:${HSC_PORT_GRAFANA:-3000}:3000"],
        "prometheus": ["127.0.0.1:${HSC_PORT_PROMETHEUS:-9090}:9090"],
    }


def test_docker_compose_runs_the_releases_images_and_commands(objects):
    deployed = {obj["metadata"]["name"].removeprefix("hsc-jit-"): pod_template(obj) for obj in objects if obj["kind"] == "Deployment"}
    for name in ("answer", "worker", "beat", "manuals"):
        assert compose()["services"][name]["command"] == deployed[name]["spec"]["containers"][0]["command"], name
    for name, service in compose()["services"].items():
        image = service["image"].removeprefix("${HSC_IMAGE_").partition(":")[0].lower()
        assert image in [*RECIPES, "grafana"], name


def test_docker_compose_shows_the_clusters_dashboard():
    import yaml

    objects = list(yaml.safe_load_all((ROOT / "kubernetes/monitoring.yaml").read_text()))
    shown = (ROOT / "service/compose/grafana/overview.json").read_text()
    assert shown == config_of(objects, "hsc-jit-dashboards")["overview.json"], "run `make docs`"
