"""Fuzz for as long as told: `python -m tests.fuzz --seconds 600 --seed 1 [--target ws …] [--keep]`. Exit status 1: a crash or a leak."""

from __future__ import annotations

import argparse
import sys

from .run import corpus, keep, run
from .targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="in all, shared out among the targets")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same inputs")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--keep", action="store_true", help="add inputs with new outcomes, and those that fail, to the corpus")
    arguments = parser.parse_args()
    names = arguments.target or list(TARGETS)
    good = True
    for name in names:
        report = run(TARGETS[name](), arguments.seconds / len(names), arguments.seed)
        print(report, flush=True)
        for data, problem in report.failures:
            print(f"{name}: {data[:200]!r}…\n{problem}", file=sys.stderr, flush=True)
        good &= report.good
        if arguments.keep:
            known = corpus(name)
            for data in [data for data in report.outcomes.values() if data not in known and len(data) <= 4096]:
                keep(name, "found", data)
            for data, _ in report.failures:
                keep(name, "failed", data)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
