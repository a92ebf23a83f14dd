import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import WorkTreeError
from ansible_collections.hsc.jit.plugins.module_utils._quality.reports import JUnit
from ansible_collections.hsc.jit.plugins.module_utils._quality.tree import Tree, check_review, check_tests, check_tree, read_tree

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CLEAN = Tree(Path("/src"), "c" * 40, NOON, (), ())
DIRTY = Tree(Path("/src"), "c" * 40, NOON, (" M a.py",), ())


def report(minutes=1, commit="", tests=3, skipped=0, failed=()):
    return JUnit(Path("unit.xml"), NOON + timedelta(minutes=minutes), commit, tests, skipped, list(failed))


def test_a_real_work_tree_is_read(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a").write_text("1")
    git("add", ".")
    git("commit", "-m", "Subject\n\nBody\n\nReviewed-by: B <b@c>")
    tree = read_tree(tmp_path / "sub")
    assert (tree.root, tree.dirty, tree.trailers) == (tmp_path, [], ["Reviewed-by: B <b@c>"]) and len(tree.commit) == 40
    (tmp_path / "new").write_text("2")
    assert read_tree(tmp_path).dirty == ["?? new"]


def test_no_work_tree_says_why(tmp_path):
    with pytest.raises(WorkTreeError, match="is no git work tree: fatal"):
        read_tree(tmp_path)


def test_the_inventory_decides_what_a_dirty_tree_means():
    assert check_tree(CLEAN, "fail").verdict == "pass"
    finding = check_tree(DIRTY, "warn")
    assert finding.verdict == "warn" and "1 changes that are in no commit (first: M a.py)" in finding.message


@pytest.mark.parametrize(
    ("tree", "reports", "verdict", "says"),
    [
        (CLEAN, [], "skipped", "there is no JUnit report"),
        (CLEAN, [report()], "pass", "3 passed, 0 skipped"),
        (CLEAN, [report(skipped=1)], "pass", "2 passed, 1 skipped"),
        (CLEAN, [report(minutes=-1)], "skipped", "none of 1 JUnit reports"),
        (DIRTY, [report()], "skipped", "none of 1 JUnit reports"),
        (DIRTY, [report(commit="c" * 40)], "pass", "3 passed"),
        (CLEAN, [report(commit="d" * 40)], "skipped", "none of 1"),
        (CLEAN, [report(), report(failed=["t.bad"])], "fail", "1 of 6 failed (first: unit.xml: t.bad)"),
        (CLEAN, [report(minutes=-1, failed=["t.bad"]), report()], "pass", "3 passed"),
        (CLEAN, [report(tests=2, skipped=2)], "skipped", "no test that ran"),
        (CLEAN, [report(tests=0)], "skipped", "no test that ran"),
    ],
)
def test_only_reports_of_this_commit_count(tree, reports, verdict, says):
    finding = check_tests(tree, reports)
    assert (finding.id, finding.verdict) == ("QG-01", verdict) and says in finding.message


def test_a_reviewer_is_named_by_a_trailer():
    assert check_review(CLEAN).verdict == "skipped"
    reviewed = Tree(Path("/src"), "c" * 40, NOON, (), ("Signed-off-by: A", "Reviewed-by: B <b@c>"))
    assert check_review(reviewed).verdict == "pass" and "Reviewed-by: B <b@c>" in check_review(reviewed).message
