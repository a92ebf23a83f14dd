from ansible_collections.hsc.jit.plugins.module_utils import _prometheus


def target(health="up", **more):
    return {"labels": {"job": "worker", "pod": "worker-1"}, "scrapeUrl": "http://10.0.0.1:9808/metrics", "health": health, **more}


def test_all_up_is_one_pass():
    (finding,) = _prometheus.judge([target(), target()], ["worker"], 3.0)
    assert (finding.verdict, finding.evidence["targets"], finding.evidence["jobs"]) == ("pass", 2, {"worker": 2})


def test_each_target_that_is_down_is_named_with_its_error():
    down = target("down", lastError='Get "http://u:geheim@10.0.0.1/": connection refused')
    found = _prometheus.judge([target(), down, target("unknown")], [], 60.0)
    assert [finding.verdict for finding in found] == ["fail", "fail"]
    assert "worker on worker-1 is down after 60 s" in found[0].message
    assert "geheim" not in found[0].message
    assert "not scraped yet" in found[1].message
    assert _prometheus.unsettled([target(), down], ["api"]) == ["worker on worker-1", "api"]


def test_no_target_at_all_is_a_failure():
    assert _prometheus.judge([], [], 60.0)[0].verdict == "fail"


def test_a_workload_that_nobody_scrapes_is_a_failure_although_all_targets_are_up():
    (finding,) = _prometheus.judge([target()], ["worker", "api"], 60.0)
    assert (finding.verdict, "no target of api" in finding.message) == ("fail", True)
