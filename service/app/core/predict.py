"""Which product does a half-typed text mean? A trigram-IDF index picks 64 candidates, shared weight and a few plain rules order them.

Pure: an index is built from a catalogue and never changes; a new catalogue means a new index, swapped in by reference.
"""

from __future__ import annotations

import json
import math
import re
import threading
import unicodedata
from array import array
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from cachetools import LRUCache
from rapidfuzz import fuzz

from app.core.catalog import Catalogue, Product
from app.metrics import CACHE_HITS, CACHE_MISSES, PREDICTION_SECONDS

# Both exist from the start: a rate of nothing is 0, and not "no data".
_HITS, _MISSES = CACHE_HITS.labels("l1", "prediction"), CACHE_MISSES.labels("l1", "prediction")

CANDIDATES = 64
# Index entries read for one text. A small catalogue never has so many; at 100,000 products it bounds the time of a prediction.
POSTINGS = 40_000
TOP = 3
REMEMBERED_TEXTS = 4096
REMEMBERED_CHARS = 64
# Below this a match is noise; nothing is shown rather than something silly.
MIN_SCORE = 20.0
# From here on the first product is probably meant, and its manual worth fetching ahead.
SURE = 85.0

_WORD = re.compile(r"[a-z]+|[0-9]+")
# "Digitakt II" is typed as "digitakt 2", "MKII" as "mk2".
_NUMERALS = {"ii": "2", "iii": "3", "iv": "4", "mki": "mk 1", "mkii": "mk 2", "mkiii": "mk 3", "mkiv": "mk 4"}


def normalise(text: str) -> str:
    """Lower case, no accents, runs of letters and of digits apart: "td17", "TD-17" and "Td 17" are all "td 17"."""
    # Names are short; what is longer strangers have typed, and 65,536 of theirs would take hundreds of megabytes.
    return _remembered(text) if len(text) <= REMEMBERED_CHARS else _normalised(text)


def _normalised(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold()).replace("ø", "o").replace("ß", "ss").replace("+", " plus ")
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return " ".join(_NUMERALS.get(word, word) for word in _WORD.findall(plain))


_remembered = lru_cache(maxsize=65536)(_normalised)


def _squash(normal: str) -> str:
    return normal.replace(" ", "")


def features(normal: str) -> set[str]:
    """Trigrams of the text without spaces, and the beginnings of it and of each word, marked with ^."""
    squashed = _squash(normal)
    grams = {squashed[i : i + 3] for i in range(len(squashed) - 2)}
    for word in (*normal.split(), squashed):
        grams.update(f"^{word[:length]}" for length in range(1, min(len(word), 3) + 1))
    return grams


@dataclass(frozen=True)
class Typed:
    """What was typed, taken apart once and then held against every candidate."""

    normal: str
    squashed: str
    words: list[str]
    numbers: list[str]

    @staticmethod
    def of(text: str) -> Typed:
        normal = normalise(text[:1000])
        # With the space before it, `" sta" in " nord stage 4"` asks whether a word begins so, without a loop.
        words = [f" {word}" for word in normal.split()]
        return Typed(normal, _squash(normal), words, [word for word in words if word[1:].isdigit()])

    def score(self, text: str, share: float) -> float:
        """0 to 100: how well a normalised name answers what was typed; beginnings and model numbers count most.

        `share` is how much of the text's weight the name has: it forgives a wrong letter in a long word more than in a short one.
        """
        name = _squash(text)
        if name == self.squashed:
            return 100.0
        score = 60 * share + 0.3 * fuzz.ratio(self.squashed, name)
        if name.startswith(self.squashed):
            score = max(score, 70) + 22 * (0.4 + 0.6 * len(self.squashed) / len(name))
        elif self.squashed.startswith(name) and len(name) > 3:
            score += 8
        spaced = f" {text}"
        if self.numbers:
            score += 8 if all(number in spaced for number in self.numbers) else -8
        if all(word in spaced for word in self.words):
            score += 9 - 0.5 * max(0, spaced.count(" ") - len(self.words))
        return min(99.0, score)


@dataclass(frozen=True)
class Match:
    """A product found: its place in the index, confidence 0 to 100, and the name that matched."""

    index: int
    confidence: float
    text: str


@dataclass(frozen=True)
class Prediction:
    """`data` of a prediction message as JSON text, and the product meant when there is little doubt."""

    data: str
    sure: Product | None


class Index:
    """An immutable search index over (name, brand + name, id, alias) of every product."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.products: list[Product] = list(catalogue.products.values())
        self._owner: list[int] = []
        self._text: list[str] = []
        self._shown: list[str] = []
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._brand_words = [set(self._brand_names(product)) for product in self.products]
        for number, product in enumerate(self.products):
            self._add_product(number, product)
        self._owners = np.asarray(self._owner, dtype=np.int32)
        self._build_postings()
        self._slim = [json.dumps(catalogue.entry(product), ensure_ascii=False, separators=(",", ":"))[:-1] for product in self.products]
        self._cache: LRUCache[str, Prediction] = LRUCache(REMEMBERED_TEXTS)
        # Reading it moves what was read to the front.
        self._cache_lock = threading.Lock()

    def _brand_names(self, product: Product) -> list[str]:
        brand = self.catalogue.brand_of(product)
        return [normalise(name) for name in (brand.name, *brand.aliases)]

    def _add_product(self, number: int, product: Product) -> None:
        brand = self.catalogue.brand_of(product)
        names = [product.name, *product.aliases]
        shown = dict.fromkeys([*names, *(f"{label} {name}" for name in names for label in (brand.name, *brand.aliases)), product.id])
        seen: set[str] = set()
        for name in shown:
            normal = normalise(name)
            if not normal or normal in seen:
                continue
            seen.add(normal)
            self._owner.append(number)
            self._text.append(normal)
            self._shown.append(name)
            self._exact[_squash(normal)].append(number)

    def _build_postings(self) -> None:
        """For each feature its weight and the entries that have it, all in one array: at 100,000 products lists of lists take gigabytes."""
        numbers: dict[str, int] = {}
        flat, lengths = array("i"), array("i")
        for text in self._text:
            grams = features(text)
            flat.extend(numbers.setdefault(gram, len(numbers)) for gram in grams)
            lengths.append(len(grams))
        count = len(self._text)
        gram_of = np.asarray(flat, dtype=np.int32)
        entry_of = np.repeat(np.arange(count, dtype=np.int32), np.asarray(lengths, dtype=np.int32))
        sizes = np.bincount(gram_of, minlength=len(numbers))
        weights = np.log1p(count / np.maximum(sizes, 1)) ** 2
        entries = entry_of[np.argsort(gram_of, kind="stable")]
        ends = np.cumsum(sizes).tolist()
        self._postings = {
            gram: (float(weights[number]), entries[ends[number] - int(sizes[number]) : ends[number]]) for gram, number in numbers.items()
        }
        norms = np.sqrt(np.bincount(entry_of, weights[gram_of], minlength=count))
        # Square root: long names must not lose to short ones just for being long; the beginning of a name is what people type.
        self._damp = (1.0 / np.sqrt(np.maximum(norms, 1e-9))).astype(np.float32)
        self._unknown = math.log1p(count) ** 2

    def _candidates(self, normal: str) -> list[tuple[int, float]]:
        """At most CANDIDATES entries with the greatest shared weight, best first, each with the share of the text's weight it has."""
        grams = features(normal)
        known = sorted((posting for gram in sorted(grams) if (posting := self._postings.get(gram))), key=lambda posting: len(posting[1]))
        scores = np.zeros(len(self._text), dtype=np.float32)
        total = self._unknown * (len(grams) - len(known))
        read = 0
        for weight, entries in known:
            # The rarest tell most. What half of all names have tells little and would cost most of the time.
            if read and read + len(entries) > POSTINGS:
                break
            read += len(entries)
            scores[entries] += weight
            total += weight
        # Among many, what shares less than a quarter of the greatest weight never shows; ranking it too would double the time.
        least = scores.max() / 4 if read > POSTINGS / 10 else 0.0
        hits = np.flatnonzero(scores > least)
        shared = scores[hits]
        ranks = shared * self._damp[hits]
        if len(hits) > CANDIDATES:
            best = np.argpartition(ranks, -CANDIDATES)[-CANDIDATES:]
            hits, shared, ranks = hits[best], shared[best], ranks[best]
        order = np.argsort(-ranks, kind="stable")
        return list(zip(hits[order].tolist(), (shared[order] / (total or 1.0)).tolist(), strict=True))

    def matches(self, text: str, limit: int = TOP) -> list[Match]:
        """The best products for `text`, best first; none for an empty one."""
        typed = Typed.of(text)
        if not typed.normal:
            return []
        best: dict[int, tuple[float, int]] = {}
        for entry, share in self._candidates(typed.normal):
            score = typed.score(self._text[entry], share)
            owner = self._owner[entry]
            if score >= MIN_SCORE and score > best.get(owner, (0.0, 0))[0]:
                best[owner] = (score, entry)
        ordered = sorted(best.items(), key=lambda item: (-item[1][0], len(self.products[item[0]].name), self.products[item[0]].id))
        return [Match(owner, round(score, 1), self._shown[entry]) for owner, (score, entry) in ordered[:limit]]

    def predict(self, text: str) -> Prediction:
        """What to answer to someone who types `text`; remembered per text."""
        with self._cache_lock:
            found = self._cache.get(text)
        if found is not None:
            _HITS.inc()
            return found
        _MISSES.inc()
        with PREDICTION_SECONDS.time():
            matches = self.matches(text)
            data = "[" + ",".join(self.item(match) for match in matches) + "]"
        sure = bool(matches) and matches[0].confidence >= SURE
        made = Prediction(data, self.products[matches[0].index] if sure else None)
        with self._cache_lock:
            self._cache[text] = made
        return made

    def item(self, match: Match) -> str:
        """One found product as JSON text."""
        return f'{self._slim[match.index]},"confidence":{match.confidence:g},"match_text":{json.dumps(match.text, ensure_ascii=False)}}}'
