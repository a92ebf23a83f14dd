"""What a canary's answers beside the stable pods' say."""

import random
import threading
import time

from ansible_collections.hsc.jit.plugins.module_utils._canary import traffic
from ansible_collections.hsc.jit.plugins.module_utils._canary.traffic import Asker, Comparison
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._poll import CLOCK

METRICS = """# HELP http_requests_total HTTP requests answered
http_requests_total{endpoint="/api/search",method="GET",status="200"} 90.0
http_requests_total{endpoint="/api/search",method="GET",status="503"} 4.0
http_requests_total{endpoint="/ws",method="GET",status="500"} 1.0
http_requests_created{endpoint="/ws",method="GET",status="500"} 1.7e+09
"""


def test_what_the_pods_counted():
    assert traffic.counted(METRICS) == (95, 5)


def test_errors_of_the_canary_alone_are_its_fault():
    seen = Comparison(100)
    for _ in range(30):
        seen.add(None, 0.01)
    assert "30 of 30 answers were errors, 0 of 30 of the stable pods'" in seen.why


def test_errors_of_both_are_nobodys_and_nothing_is_learned():
    seen = Comparison(100)
    for _ in range(100):
        seen.add(None, None)
    assert (seen.why, seen.enough) == ("", False)


def test_slower_answers_are_seen_and_a_few_milliseconds_are_not():
    chance, slow, alike = random.Random(3), Comparison(300), Comparison(300)
    for _ in range(300):
        usual = 0.150 + chance.random() * 0.05
        slow.add(usual + 0.08, usual)
        alike.add(usual + 0.004, usual)
    assert "its answers took longer, p95" in slow.why
    assert (alike.why, alike.enough) == ("", True)


def test_users_errors_count_by_the_share_of_requests():
    seen = Comparison(0)
    seen.add_users((10, 0), (90, 8))
    assert not seen.worse
    for _ in range(4):
        seen.add_users((20, 5), (80, 0))
    assert "20 of 90 requests were answered with an error, 8 of 410 by the stable pods" in seen.why


class Pods:
    """Two pods behind the API server's proxy; bad: what the canary's answers raise, by turns."""

    def __init__(self, bad=None, seconds=0.0):
        self.bad, self.seconds, self.asked, self.lock = bad, seconds, [], threading.Lock()

    def namespaced(self, plural):
        return plural

    def request(self, method, path, timeout):
        if path.endswith("/metrics"):
            return METRICS.encode()
        with self.lock:
            self.asked.append(path)
        if "canary" in path:
            time.sleep(self.seconds)
            if self.bad:
                raise self.bad
        return b"{}"


def compare(pods, seconds=0.5, rate=100):
    said = []
    asker = Asker(pods, "/x?q=1", 8000, lambda: (["canary-1"], ["stable-1"]), CLOCK, said.append)
    return asker.compare(seconds, rate)


def test_pairs_go_out_at_the_rate_and_both_are_asked():
    pods = Pods()
    seen = compare(pods)
    assert seen.enough
    assert not seen.worse
    assert {"pods/canary-1:8000/proxy/x?q=1", "pods/stable-1:8000/proxy/x?q=1"} == set(pods.asked)


def test_an_error_ends_it_as_soon_as_it_is_sure():
    began = time.monotonic()
    seen = compare(Pods(ApiError(503, "", "down")), seconds=30)
    assert seen.worse
    assert time.monotonic() - began < 5


def test_a_pod_that_has_gone_is_nobodys_fault():
    seen = compare(Pods(ApiError(404, "NotFound", "gone")))
    assert (seen.canary.asked, seen.why, seen.enough) == (0, "", False)
