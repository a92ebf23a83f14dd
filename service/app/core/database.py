"""The tables of PostgreSQL and the engine. Their history is in `migrations/`; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

brands = Table(
    "brands",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("hq", Text, nullable=False),
    Column("website", Text, nullable=False),
    Column("logo_url", Text, nullable=False),
    Column("aliases", JSONB, nullable=False),
)

products = Table(
    "products",
    metadata,
    Column("id", Text, primary_key=True),
    Column("brand_id", Text, ForeignKey("brands.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("production_country", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("price", Numeric(10, 2)),
    Column("specs", JSONB, nullable=False),
    Column("aliases", JSONB, nullable=False),
    Column("related", JSONB, nullable=False),
    Column("manual_url", Text),
    Index("products_brand_id", "brand_id"),
)

# One row: what the web processes look at to learn that the catalogue changed.
catalogue_state = Table(
    "catalogue_state",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("imported_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# A manual as fetched and cut up; `error` says why there are no chunks.
documents = Table(
    "documents",
    metadata,
    Column("url", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("chunks", JSONB, nullable=False),
    Column("error", Text, nullable=False, server_default=""),
    Column("fetched_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Questions and answers, for people who look after the support centre.
transcripts = Table(
    "transcripts",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("session", Text, nullable=False),
    Column("cmd", Text, nullable=False),
    Column("product_id", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("session", "cmd", name="transcripts_session_cmd"),
    Index("transcripts_created_at", "created_at"),
)


def engine(url: str, *, pool_size: int = 4) -> Engine:
    """A pool of connections that gives up quickly: nobody waits half a minute for a database that is away."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=4,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": "hsc-jit", "options": "-c statement_timeout=30000"},
    )
