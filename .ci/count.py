"""Adds up JUnit reports: ``count.py <exit status of make> <report>...``. A stage that failed without a report counts as one failure."""

import sys
import xml.etree.ElementTree as ElementTree  # our own files, written a moment ago


def main(status: int, paths: list[str]) -> int:
    passed = failed = skipped = 0
    for path in paths:
        try:
            suites = list(ElementTree.parse(path).iter("testsuite"))  # noqa: S314 (our own report)
        except (OSError, ElementTree.ParseError) as error:
            sys.stderr.write(f"{path}: {error}\n")
            failed += 1
            continue
        for suite in suites:
            bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            failed += bad
            skipped += int(suite.get("skipped", 0))
            passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    if (status and not failed) or not passed:
        failed += 1
    if skipped:
        sys.stdout.write(f"{skipped} skipped (each says why above)\n")
    sys.stdout.write(f"{passed} passed, {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
