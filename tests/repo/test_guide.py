"""The production guide line by line, and the test that carries each line out. A line without a test is a promise that nobody keeps."""

import re

import pytest

COMPOSE, GUIDE, MANIFESTS = "integration/test_compose.py", "integration/test_guide.py", "repo/test_manifests.py"
FAULTS, VERIFY, BACKUP = "integration/test_deploy_faults.py", "integration/test_verify.py", "integration/test_backup.py"
SERVICE = "../service/tests/"
LINES = {
    # Core components
    "Stateless WebSocket scaling using Redis as a message bus": (SERVICE + "test_hub.py", None),
    "Zero data loss on pod restarts": ("soak/test_answers_survive.py", None),
    "L1 (Memory), L2 (Redis): caching with TTLs": (SERVICE + "test_cache.py", None),
    "Automated hit rate tracking via Prometheus": (MANIFESTS, "test_alerts_and_panels_ask_for_metrics_that_somebody_exports"),
    "Asynchronous fetching of heavy assets (PDFs)": (SERVICE + "test_tasks.py", None),
    "Scheduled maintenance (cache cleanup, index optimization)": ("integration/test_maintenance.py", "test_the_others_succeed"),
    "Liveness probes (/health) and Readiness probes (/ready)": (SERVICE + "test_http.py", None),
    "HPA based on CPU/Memory": ("soak/test_autoscaling.py", None),
    # Quick start
    "docker-compose up -d": (COMPOSE, "test_up"),
    "Frontend: http://localhost:5173": (GUIDE, "test_main_ui_loads"),
    "Backend API: http://localhost:8000": (COMPOSE, "test_up"),
    "Grafana: http://localhost:3000 (admin/admin)": (MANIFESTS, "test_docker_compose_opens_the_guides_doors_to_this_machine_alone"),
    "Prometheus: http://localhost:9090": (COMPOSE, "test_prometheus_reads_every_part"),
    "docker-compose logs -f backend": (COMPOSE, "test_logs_are_followed"),
    "docker-compose down": (COMPOSE, "test_its_data_survives_down_and_up"),
    # Kubernetes deployment
    "kubectl create namespace hsc-jit": (GUIDE, "test_kubectl_create_namespace"),
    "kubectl create secret generic hsc-secrets": (GUIDE, "test_kubectl_create_secret_generic"),
    "kubectl apply -f kubernetes/backend-deployment.yaml": (GUIDE, "test_kubectl_apply"),
    "kubectl apply -f kubernetes/monitoring.yaml": (GUIDE, "test_kubectl_apply"),
    "kubectl apply -f kubernetes/maintenance.yaml": (GUIDE, "test_kubectl_apply"),
    "kubectl get pods -n hsc-jit": (GUIDE, "test_kubectl_get_pods"),
    "kubectl rollout status deployment/hsc-jit-backend -n hsc-jit": (GUIDE, "test_kubectl_rollout_status"),
    "kubectl logs -f -l app=hsc-jit-backend -n hsc-jit": (GUIDE, "test_kubectl_logs_f"),
    # T-minus 1 week
    "Code: all tests passing, lints clean, code reviewed": ("unit/plugins/module_utils/_quality/test_tree.py", None),
    "Security: image scan clean, dependencies updated": ("unit/plugins/module_utils/_quality/test_dependencies.py", None),
    "Load Test: validated for 100+ concurrent users": ("unit/plugins/module_utils/_quality/test_load.py", None),
    "Infra: Ingress configured, TLS certs ready": ("unit/plugins/module_utils/_quality/test_access.py", "test_the_certificate"),
    "Access: DNS updated, Secrets configured": ("unit/plugins/module_utils/_quality/test_access.py", "test_the_secrets"),
    # T-hour
    "Pre-Flight: kubectl get nodes": (FAULTS, "test_a_node_that_is_not_ready_is_refused"),
    "Disk Space: ensure >10GB free": (FAULTS, "test_too_little_disk_is_refused_with_the_figures"),
    "Backups: pre-migration backup of Redis/SQL": (BACKUP, "test_a_backup_is_proved_by_what_is_in_it"),
    "Migration: run schema migrations": (FAULTS, "test_a_migration_that_fails_leaves_the_running_release"),
    "Rollout: apply manifests": (FAULTS, "test_a_rollout_that_fails_is_put_back_while_users_notice_nothing"),
    # Post-deployment
    "Health: curl /health returns 200 OK": (GUIDE, "test_curl_health_returns_200"),
    "Frontend: main UI loads, search functions correctly": (VERIFY, "test_chromium_types_and_sees_the_product"),
    "Latency: API response time < 200ms": (VERIFY, "test_a_slow_product_is_seen"),
    "Logs: no error spikes": ("unit/plugins/module_utils/_verify/test_logs.py", None),
    # Troubleshooting and operations
    "kubectl rollout restart deployment/hsc-jit-backend -n hsc-jit": (GUIDE, "test_kubectl_rollout_restart"),
    "celery -A app.core.tasks inspect active": (GUIDE, "test_celery_inspect_active"),
    "redis-cli FLUSHDB": (GUIDE, "test_redis_cli_flushdb"),
    'Grafana: "HSC-JIT Overview" dashboard': (MANIFESTS, "test_grafana_is_valid_where_there_is_one"),
    "Prometheus: query http_requests_total": (GUIDE, "test_query_http_requests_total"),
    "Runbooks: docs/operations/RUNBOOK.md": ("integration/test_runbook.py", "test_command"),
}


@pytest.mark.parametrize("line", LINES)
def test_line_has_its_test(root, line):
    file, name = LINES[line]
    text = (root / "tests" / file).read_text()
    assert re.search(rf"^(async )?def {name or 'test_'}", text, re.MULTILINE), f"{file} has no {name}"


def test_the_count_of_lines():
    assert len(LINES) == 43
