"""How long does a prediction take, and how much memory does the index need, at the packaged catalogue's size and at 100,000 products?

    python -m bench.predict --sizes 340,100000 --rounds 200

Every text (tests/queries.tsv) is computed: the memory of texts already answered is bypassed. The peers scan all names for the same text:
thefuzz's `process.extract`, which is what this index replaced, and rapidfuzz's. Index and peer take turns, text by text, so that a busy
machine slows both; the ratios are of such pairs. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import rapidfuzz

from app.core import catalog, catalogue_data
from app.core.catalog import Brand, Catalogue, Product
from app.core.predict import Index

QUERIES = Path(__file__).parents[1] / "tests" / "queries.tsv"
SEED = 7
# A scan of 100,000 names takes a second: a few pairs must do there.
PEER_SECONDS = 20.0

Scan = Callable[[str], object]


def packaged() -> Catalogue:
    """The catalogue in the package, without a database."""
    brand_rows, product_rows = catalog.rows_from_data(*catalogue_data.load())
    brands = [Brand(**{**row, "aliases": tuple(row["aliases"])}) for row in brand_rows]
    products = [
        Product(**{**row, "price": None, "aliases": tuple(row["aliases"]), "related": tuple(row["related"])}) for row in product_rows
    ]
    return Catalogue(brands, products)


def grown(size: int) -> Catalogue:
    """The first `size` packaged products, then made-up ones: words of real names in a new order, under any brand. The same every time."""
    real = packaged()
    brands, products = list(real.brands.values()), list(real.products.values())[:size]
    models = list(products)
    words = [word for product in models for word in product.name.split()]
    names = {(product.brand_id, product.name) for product in products}
    chance = random.Random(SEED)  # noqa: S311 (names for a benchmark)
    while len(products) < size:
        model, brand = chance.choice(models), chance.choice(brands)
        parts = [*model.name.split()[:2], *chance.sample(words, chance.randint(1, 2))]
        if chance.random() < 0.5:
            parts.append(str(chance.randint(1, 9999)))
        name = " ".join(parts)
        if (brand.id, name) not in names:
            names.add((brand.id, name))
            products.append(replace(model, id=f"{brand.id}-made-{len(products)}", brand_id=brand.id, name=name, aliases=(), related=()))
    return Catalogue(brands, products)


def texts() -> list[str]:
    lines = QUERIES.read_text(encoding="utf-8").splitlines()
    found = [line.split("\t")[1] for line in lines if not line.startswith("#")]
    random.Random(SEED).shuffle(found)  # noqa: S311 (an order, not a secret)
    return found


def milliseconds(work: Scan, text: str) -> float:
    started = time.perf_counter()
    work(text)
    return (time.perf_counter() - started) * 1000


def summary(took: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(took, n=20)
    figures = {"mean_ms": statistics.fmean(took), "p50_ms": statistics.median(took), "p95_ms": cuts[18], "max_ms": max(took)}
    return {name: round(value, 3) for name, value in figures.items()}


def processor_time(index: Index, chosen: list[str]) -> float:
    """Mean of processor milliseconds, which other programs on the machine disturb least: what bounds predictions a second and pod."""
    started = time.thread_time()
    for text in chosen:
        index.matches(text)
    return round((time.thread_time() - started) * 1000 / len(chosen), 3)


def peers(catalogue: Catalogue) -> dict[str, Scan | str]:
    """What scans all names, or why it can't."""
    names = [f"{catalogue.brand_of(product).name} {product.name}" for product in catalogue.products.values()]
    prepared = [rapidfuzz.utils.default_process(name) for name in names]

    def rapid(text: str) -> object:
        return rapidfuzz.process.extract(rapidfuzz.utils.default_process(text), prepared, scorer=rapidfuzz.fuzz.WRatio, limit=3)

    found: dict[str, Scan | str] = {"rapidfuzz": rapid}
    try:
        from thefuzz import process
    except ImportError:
        found["thefuzz"] = "skipped: thefuzz is not installed (pip install thefuzz)"
    else:
        found["thefuzz"] = lambda text: process.extract(text, names, limit=3)
    return found


def against(index: Index, scan: Scan, chosen: list[str]) -> dict[str, object]:
    """Pairs in turn, as many as fit into PEER_SECONDS; how many times the peer's time is the index's."""
    ours, theirs = [], []
    began = time.monotonic()
    for number, text in enumerate(chosen):
        if number >= 10 and time.monotonic() - began > PEER_SECONDS:
            break
        ours.append(milliseconds(index.matches, text))
        theirs.append(milliseconds(scan, text))
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    cuts = statistics.quantiles(ratios, n=20)
    spread = {"ratio_p5": round(cuts[0], 1), "ratio_median": round(statistics.median(ratios), 1), "ratio_p95": round(cuts[18], 1)}
    return {"pairs": len(ratios), **summary(theirs), **spread}


def index_memory(catalogue: Catalogue) -> float:
    """MB that an index keeps, in a build of its own: to trace memory makes the build several times slower."""
    gc.collect()
    tracemalloc.start()
    index = Index(catalogue)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del index
    return kept / 1e6


def measure(size: int, rounds: int) -> dict[str, object]:
    catalogue = grown(size)
    memory = index_memory(catalogue)
    started = time.perf_counter()
    index = Index(catalogue)
    build = time.perf_counter() - started
    every = texts()
    chosen = [every[number % len(every)] for number in range(max(20, rounds))]
    for text in chosen[:20]:
        index.matches(text)
    result: dict[str, object] = {"products": len(index.products), "build_s": round(build, 2), "memory_mb": round(memory, 1)}
    took = summary([milliseconds(index.matches, text) for text in chosen])
    result["index"] = {"cpu_mean_ms": processor_time(index, chosen), **took}
    for name, scan in peers(catalogue).items():
        result[name] = scan if isinstance(scan, str) else against(index, scan, chosen)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="340,100000", help="products, separated by commas")
    parser.add_argument("--rounds", type=int, default=500, help="texts to time")
    parser.add_argument("--limit", type=float, default=float("inf"), help="mean processor milliseconds, at any size, that fail the run")
    chosen = parser.parse_args()
    results = [measure(int(size), chosen.rounds) for size in chosen.sizes.split(",")]
    sys.stdout.write(json.dumps({"python": platform.python_version(), "seed": SEED, "sizes": results}) + "\n")
    slow = [result for result in results if result["index"]["cpu_mean_ms"] > chosen.limit]  # type: ignore[index]
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
