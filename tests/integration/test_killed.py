"""A power cut: every process of the local cluster is killed at once, and the same command as always brings the product back."""

import json
import time
import urllib.request
from pathlib import Path

import pytest
from deployment import Deployment
from power_cut import power_cut, settings
from stores import redis, sql

STATE = Path("/var/lib/hsc-jit-local")
pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def test_after_kill_9_of_everything_a_deploy_brings_the_product_back_with_its_data(product, tmp_path):
    if not STATE.exists():
        pytest.skip("the cluster under test is not the local one: its processes are not ours to kill")
    sql(product, "DROP TABLE IF EXISTS test_killed; CREATE TABLE test_killed (n int); INSERT INTO test_killed VALUES (42)")
    redis(product, "SET", "test:killed", "42")
    time.sleep(1.1)  # what Redis has not written to disk yet, `everysec` does not promise
    killed = power_cut(settings())
    assert killed > 20

    run = Deployment(tmp_path)
    print(f"{killed} processes killed; deployed and verified after {run.seconds:.0f} s")
    assert run.returncode == 0, run.output[-4000:]

    assert sql(product, "SELECT n FROM test_killed") == "42"
    assert redis(product, "GET", "test:killed") == "42"
    sql(product, "DROP TABLE test_killed")
    redis(product, "DEL", "test:killed")
    with urllib.request.urlopen("http://127.0.0.1:8000/api/search?q=td17", timeout=10) as answer:
        assert json.load(answer)["results"][0]["product"]["name"].startswith("TD-17")
