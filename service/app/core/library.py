"""Indexed manuals: in the cache, behind it in PostgreSQL, behind that on the web (by the task `fetch_manual`)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

from cachetools import TTLCache
from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import insert

from app.core.background import spawn
from app.core.cache import Cache
from app.core.catalog import Product
from app.core.database import documents, products, transcripts

log = logging.getLogger(__name__)

NAMESPACE = "manual"
TTL_SECONDS = 24 * 3600.0
# A manual that could not be had is asked for again after this long.
FAILED_SECONDS = 300.0
WAIT_SECONDS = 25.0
POLL_SECONDS = 0.1
POPULAR_DAYS = 7
POPULAR = 20

Document = dict[str, Any]


class Prefetcher:
    """Has the manual of a product fetched that someone will probably ask about; quietly, and seldom for the same one."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._recent: TTLCache[str, bool] = TTLCache(1024, FAILED_SECONDS)
        self._lock = threading.Lock()

    def __call__(self, product: Product) -> None:
        if not product.manual_url:
            return
        with self._lock:
            if product.id in self._recent:
                return
            self._recent[product.id] = True
        spawn(self._fetch, self._library.absolute(product.manual_url))

    def _fetch(self, url: str) -> None:
        try:
            if self._library.find(url) is None:
                self._library.request_fetch(url)
        except Exception as problem:
            # Only a head start is lost: whoever asks has it fetched again.
            log.info("manual not fetched ahead", extra={"url": url, "reason": type(problem).__name__})


class Library:
    """`find` looks, `wait_for` has it fetched. A document is {"url", "sha256", "bytes", "pages", "chunks": [{"page", "text"}], "error"}."""

    def __init__(self, cache: Cache, engine: Engine, base_url: str, request_fetch: Callable[[str], None]) -> None:
        self.cache, self.engine, self.base_url = cache, engine, base_url
        self.request_fetch = request_fetch

    def absolute(self, url: str) -> str:
        """Catalogue URLs may be paths on the manuals server."""
        return urljoin(self.base_url + "/", url)

    def find(self, url: str) -> Document | None:
        """The document, also one that says why there is none (`error`); None when nobody has tried lately."""
        found = self.cache.get(NAMESPACE, url, lambda: self._from_database(url), TTL_SECONDS)
        return found if isinstance(found, dict) else None

    def wait_for(
        self, url: str, *, sleep: Callable[[float], object] = time.sleep, clock: Callable[[], float] = time.monotonic
    ) -> Document | None:
        """Have `url` fetched and wait for the result; None if it does not come in time."""
        self.request_fetch(url)
        deadline = clock() + WAIT_SECONDS
        polls = 0
        while clock() < deadline:
            sleep(POLL_SECONDS)
            polls += 1
            found = self.cache.peek(NAMESPACE, url)
            # The cache may be away: look into the database too, less often.
            if found is None and polls % 10 == 0:
                found = self._from_database(url)
            if isinstance(found, dict):
                return found
        return None

    def save(self, document: Document) -> None:
        """Keep a document, or the reason why there is none, in PostgreSQL and the cache."""
        statement = insert(documents).values(**document, fetched_at=func.now())
        changed = {column: statement.excluded[column] for column in ("sha256", "bytes", "pages", "chunks", "error", "fetched_at")}
        with self.engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["url"], set_=changed))
        self.cache.put(NAMESPACE, document["url"], document, FAILED_SECONDS if document["error"] else TTL_SECONDS)

    def warm(self, days: int = POPULAR_DAYS, count: int = POPULAR) -> tuple[int, int]:
        """Bring the manuals most asked about lately into the cache: (those that are there now, those that are being fetched).

        Raises SQLAlchemyError, and what `request_fetch` raises when the broker is away.
        """
        ready = asked = 0
        for url in self._popular(days, count):
            found = self.find(url)
            if found is None:
                self.request_fetch(url)
                asked += 1
            elif not found["error"]:
                ready += 1
        return ready, asked

    def _popular(self, days: int, count: int) -> list[str]:
        """The manuals of the products with most questions in the last `days`, most asked first."""
        lately = transcripts.c.created_at > func.now() - func.make_interval(0, 0, 0, days)
        statement = (
            select(products.c.manual_url)
            .join(transcripts, transcripts.c.product_id == products.c.id)
            .where(lately, products.c.manual_url.is_not(None))
            .group_by(products.c.manual_url)
            .order_by(func.count().desc(), products.c.manual_url)
            .limit(count)
        )
        with self.engine.connect() as connection:
            return [self.absolute(url) for url in connection.scalars(statement)]

    def _from_database(self, url: str) -> Document | None:
        columns = (documents.c.url, documents.c.sha256, documents.c.bytes, documents.c.pages, documents.c.chunks, documents.c.error)
        fresh = (documents.c.error == "") | (documents.c.fetched_at > func.now() - func.make_interval(0, 0, 0, 0, 0, 0, FAILED_SECONDS))
        with self.engine.connect() as connection:
            row = connection.execute(select(*columns).where(documents.c.url == url, fresh)).mappings().first()
        return dict(row) if row else None
