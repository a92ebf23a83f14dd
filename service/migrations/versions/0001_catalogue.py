"""Brands, products, documents, transcripts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "brands",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("hq", sa.Text, nullable=False),
        sa.Column("website", sa.Text, nullable=False),
        sa.Column("logo_url", sa.Text, nullable=False),
        sa.Column("aliases", JSONB, nullable=False),
    )
    op.create_table(
        "products",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("brand_id", sa.Text, sa.ForeignKey("brands.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("category", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("production_country", sa.Text, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("specs", JSONB, nullable=False),
        sa.Column("aliases", JSONB, nullable=False),
        sa.Column("related", JSONB, nullable=False),
        sa.Column("manual_url", sa.Text),
    )
    op.create_index("products_brand_id", "products", ["brand_id"])
    op.create_table(
        "catalogue_state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def downgrade() -> None:
    for table in ("catalogue_state", "products", "brands"):
        op.drop_table(table)
