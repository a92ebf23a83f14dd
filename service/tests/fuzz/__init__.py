"""Fuzzing of what strangers send: WebSocket bytes, messages, PDFs, URLs. `python -m tests.fuzz --seconds 600 --seed 1`.

Each target takes bytes, checks what must hold for any of them and says in a word what came of it. An input with a new word joins the
pool that others are made from; `--keep` adds it to the corpus, which every run begins with.
"""

import sys
from pathlib import Path

if str(Path(__file__).parents[1]) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parents[1]))
