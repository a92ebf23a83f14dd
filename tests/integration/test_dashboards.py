"""`make dashboards`: what Grafana would show, drawn from the live Prometheus."""

import re

import pytest
from playbook import play

pytestmark = pytest.mark.cluster


def test_every_panel_is_drawn(product, tmp_path):
    done = play("playbooks/dashboards.yml", release_evidence_dir=str(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:]
    page = (tmp_path / "dashboards/overview.html").read_text()
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert len(titles) == 18
    assert {"HTTP latency p95", "Redis memory", "PostgreSQL size", "Node disk free"} <= set(titles)
    assert page.count("<polyline") > 18
    assert "<script" not in page


def test_too_far_back_is_refused(product, tmp_path):
    done = play("playbooks/dashboards.yml", release_evidence_dir=str(tmp_path), hours=1000)
    assert done.returncode != 0
    assert "hours is 1000" in done.stdout
