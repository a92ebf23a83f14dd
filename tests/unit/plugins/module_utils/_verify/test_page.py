from ansible_collections.hsc.jit.plugins.module_utils._verify import page
from ansible_collections.hsc.jit.plugins.module_utils._verify.page import judge_page


def seen(first="roland td-17kvx drums", problems=()):
    return {"first_result": first, "page_problems": list(problems), "search_seconds": 0.1}


def test_the_product_first_and_no_complaint_is_a_pass():
    assert judge_page("http://x", "td17", "Roland TD-17", seen()).verdict == "pass"


def test_another_product_nothing_and_complaints_are_failures():
    wrong, nothing, loud = (
        judge_page("http://x", "td17", "Roland TD-17", evidence)
        for evidence in (seen("moog minitaur"), seen(""), seen(problems=["console: x"]))
    )
    assert {wrong.verdict, nothing.verdict, loud.verdict} == {"fail"}
    assert 'shows "moog minitaur" first' in wrong.message
    assert "shows nothing first" in nothing.message
    assert "complains 1 times: console: x" in loud.message


def test_no_browser_is_skipped_and_says_why():
    finding = page.check_page(None, "http://x", "td17", "Roland TD-17", None)
    assert (finding.verdict, "no Chromium" in finding.message, "chromium" in finding.next_step) == ("skipped", True, True)


def test_names_have_their_brand_once():
    data = [{"product": {"brand": "Moog", "name": "Moog One"}}, {"product": {"brand": "Korg", "name": "Minilogue"}}]
    assert page.product_names({"data": data}) == ["Moog One", "Korg Minilogue"]


def test_the_socket_stands_beside_the_page():
    assert page.socket_url("https://support.example.com/") == "wss://support.example.com/ws"
    assert page.socket_url("http://127.0.0.1:8000") == "ws://127.0.0.1:8000/ws"
