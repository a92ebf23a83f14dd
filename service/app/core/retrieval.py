"""Which passages of a manual answer a question? BM25 over its passages. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from app.core.manuals import Chunk

K1, B = 1.4, 0.6
# A passage with less than this share of the best one's score is about something else.
WORTH = 0.45
_WORD = re.compile(r"[^\W_]+")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "can",
        "could",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "please",
        "should",
        "so",
        "such",
        "tell",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "this",
        "to",
        "use",
        "using",
        "want",
        "was",
        "we",
        "what",
        "when",
        "where",
        "which",
        "who",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


def words(text: str) -> list[str]:
    """Words that carry meaning, with plain English endings taken off, so that "resetting" finds "reset"."""
    return [_stem(word) for word in _WORD.findall(text.casefold()) if word not in _STOP]


def _stem(word: str) -> str:
    for ending in ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "ed", "es", "er", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + ("y" if ending in ("ies", "ied") else "")
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeious" else word


def best(question: str, chunks: Sequence[Chunk], limit: int = 3) -> list[Chunk]:
    """The passages that answer best, best first; none when no word of the question occurs."""
    asked = set(words(question))
    counts = [Counter(words(str(chunk["text"]))) for chunk in chunks]
    if not asked or not counts:
        return []
    average = sum(sum(count.values()) for count in counts) / len(counts) or 1.0
    idf = {word: _idf(sum(word in count for count in counts), len(counts)) for word in asked}
    scored = []
    for place, count in enumerate(counts):
        length = K1 * (1 - B + B * sum(count.values()) / average)
        score = sum(idf[word] * count[word] * (K1 + 1) / (count[word] + length) for word in asked if count[word])
        if score > 0:
            scored.append((-score, place))
    scored.sort()
    return [chunks[place] for score, place in scored[:limit] if score <= WORTH * scored[0][0]]


def _idf(having: int, total: int) -> float:
    return math.log(1 + (total - having + 0.5) / (having + 0.5))


def sentences(text: str) -> list[str]:
    """A passage's sentences."""
    return [piece.strip() for piece in re.split(r"(?<=[.!?])\s+", text) if piece.strip()]


def excerpt(question: str, text: str, limit: int = 420) -> str:
    """The stretch of whole sentences, at most about `limit` characters, that has most of the question's words."""
    asked, parts = set(words(question)), sentences(text)
    best_score, best_text = -1.0, text[:limit]
    for start in range(len(parts)):
        stretch = ""
        for part in parts[start:]:
            if stretch and len(stretch) + len(part) > limit:
                break
            stretch = f"{stretch} {part}".strip()
        score = len(asked & set(words(stretch))) - 0.001 * start
        if score > best_score:
            best_score, best_text = score, stretch
    return best_text
