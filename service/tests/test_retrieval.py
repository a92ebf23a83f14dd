from __future__ import annotations

from app.core.llm import Extractive, Material
from app.core.retrieval import best, excerpt, words

CHUNKS = [
    {"page": 1, "text": "Welcome. Read this manual before use."},
    {"page": 2, "text": "Connecting cables. Plug the trigger cable into the module."},
    {"page": 3, "text": "Factory reset. Hold ENTER while you switch the power on. Everything is restored."},
]


def test_words_meet_across_endings() -> None:
    assert set(words("resetting")) & set(words("reset"))
    assert set(words("batteries")) & set(words("battery"))
    assert words("how do I do the") == []


def test_best_passage_first_and_none_for_strangers() -> None:
    assert best("How can I reset it to factory state?", CHUNKS)[0]["page"] == 3
    assert best("which cables?", CHUNKS)[0]["page"] == 2
    assert best("xylophone", CHUNKS) == []
    assert best("the of and", CHUNKS) == []
    assert best("reset", []) == []


def test_excerpt_is_whole_sentences() -> None:
    text = "One is here. " * 40 + "Hold ENTER to reset. " + "Two is there. " * 40
    found = excerpt("reset enter", text, 100)
    assert "Hold ENTER to reset." in found
    assert len(found) <= 100


def test_extractive_quotes_with_pages_and_is_deterministic() -> None:
    facts = {"brand": "Roland", "name": "TD-17", "description": "A drum kit.", "specs": {"pads": 9}}
    material = Material("factory reset", facts, best("factory reset", CHUNKS))
    first = list(Extractive().paragraphs(material))
    assert first == list(Extractive().paragraphs(material))
    assert any("(page 3)" in paragraph for paragraph in first)
    without = list(Extractive().paragraphs(Material("x", facts, [], "No manual.")))
    assert without[0] == "No manual."
    assert "pads: 9" in without[-1]
