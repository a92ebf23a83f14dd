# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""QG-01: is what is deployed what was tested and reviewed? ``read_tree`` asks git; the checks are pure."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .._errors import WorkTreeError
from .._finding import Finding, Verdict
from .reports import JUnit

_REVIEWED = ("Reviewed-by", "Approved-by", "Acked-by")


@dataclass(frozen=True)
class Tree:
    """A git work tree. commit: its full id; committed: when; dirty: lines of ``git status --porcelain``; trailers: of the commit."""

    root: Path
    commit: str
    committed: datetime
    dirty: Sequence[str]
    trailers: Sequence[str]


def read_tree(folder: Path) -> Tree:
    def git(*arguments: str) -> str:
        try:
            result = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
        except OSError as error:
            raise WorkTreeError(f"git cannot be run: {error}") from error
        if result.returncode:
            raise WorkTreeError(f"{folder} is no git work tree: {result.stderr.strip()}")
        return result.stdout

    commit, seconds, *trailers = git("log", "-1", "--format=%H%n%ct%n%(trailers:only,unfold)").splitlines()
    status = git("status", "--porcelain").splitlines()
    committed = datetime.fromtimestamp(int(seconds), UTC)
    return Tree(Path(git("rev-parse", "--show-toplevel").strip()), commit, committed, status, [line for line in trailers if line])


def check_tree(tree: Tree, dirty_verdict: Verdict) -> Finding:
    evidence = {"commit": tree.commit, "committed": tree.committed.isoformat(), "changed_files": list(tree.dirty[:20])}
    if not tree.dirty:
        return Finding("QG-01", "pass", f"Work tree {tree.root} is commit {tree.commit[:12]} and nothing else.", evidence)
    message = f"Work tree {tree.root} has {len(tree.dirty)} changes that are in no commit (first: {tree.dirty[0].strip()})."
    return Finding("QG-01", dirty_verdict, message, evidence, "Commit or remove them: nobody could build this release again.")


def check_tests(tree: Tree, reports: Sequence[JUnit]) -> Finding:
    """A report counts if it names this commit, or if it names none but is younger than the commit and the tree is clean."""
    bound = [one for one in reports if _belongs(one, tree)]
    evidence = {"commit": tree.commit, "reports": [one.as_dict() for one in reports]}
    if not bound:
        why = "there is no JUnit report" if not reports else f"none of {len(reports)} JUnit reports is of this commit and a clean tree"
        return Finding("QG-01", "skipped", f"Tests of commit {tree.commit[:12]}: {why}.", evidence, "Run `make test` at this commit.")
    bad = [f"{one.path.name}: {name}" for one in bound for name in one.failed]
    ran = sum(one.tests - one.skipped for one in bound)
    if bad:
        message = f"Tests of commit {tree.commit[:12]}: {len(bad)} of {ran} failed (first: {bad[0]})."
        return Finding("QG-01", "fail", message, {**evidence, "failed": bad[:50]}, "Correct them and run `make test` again.")
    if not ran:
        return Finding(
            "QG-01", "skipped", f"Tests of commit {tree.commit[:12]}: the reports contain no test that ran.", evidence, "`make test`."
        )
    skipped = sum(one.skipped for one in bound)
    return Finding("QG-01", "pass", f"Tests of commit {tree.commit[:12]}: {ran} passed, {skipped} skipped, none failed.", evidence)


def _belongs(tests: JUnit, tree: Tree) -> bool:
    if tests.commit:
        return tests.commit == tree.commit
    return not tree.dirty and tests.written >= tree.committed


def check_review(tree: Tree) -> Finding:
    reviewers = [line for line in tree.trailers if line.startswith(tuple(f"{name}:" for name in _REVIEWED))]
    evidence = {"commit": tree.commit, "trailers": list(tree.trailers)}
    if reviewers:
        return Finding("QG-01", "pass", f"Commit {tree.commit[:12]} was reviewed ({'; '.join(reviewers)}).", evidence)
    message = f"Review of commit {tree.commit[:12]}: the commit has no trailer {', '.join(_REVIEWED)}."
    return Finding("QG-01", "skipped", message, evidence, "Merge with `git commit --trailer 'Reviewed-by: Name <mail>'`.")
