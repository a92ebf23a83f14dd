"""The catalogue: brands, products and their relations, read from PostgreSQL, kept immutable, and imported into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects.postgresql import insert

from app.core.database import brands, catalogue_state, products

Row = dict[str, Any]


@dataclass(frozen=True)
class Brand:
    """A maker. `logo_url` is a path on this service."""

    id: str
    name: str
    hq: str
    website: str
    logo_url: str
    aliases: tuple[str, ...] = ()

    def identity(self) -> Row:
        return {"name": self.name, "hq": self.hq, "logo_url": self.logo_url, "website": self.website}


@dataclass(frozen=True)
class Product:
    """A product. `price` in US dollars or None; `manual_url` absolute, or a path on the manuals server, or None."""

    id: str
    brand_id: str
    name: str
    category: str
    description: str
    production_country: str
    image: str
    price: float | None = None
    specs: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    related: tuple[Mapping[str, str], ...] = ()
    manual_url: str | None = None


class Catalogue:
    """All brands and products by id, and the shapes clients see. Never changed after it is made."""

    def __init__(self, brand_list: Sequence[Brand], product_list: Sequence[Product], digest: str = "") -> None:
        self.brands = {brand.id: brand for brand in brand_list}
        self.products = {product.id: product for product in product_list}
        self.digest = digest

    def brand_of(self, product: Product) -> Brand:
        return self.brands[product.brand_id]

    def product_shape(self, product: Product) -> Row:
        """`product` as clients see it; `price` and `specs` only when known."""
        brand = self.brand_of(product)
        shape: Row = {
            "id": product.id,
            "name": product.name,
            "brand": brand.name,
            "category": product.category,
            "description": product.description,
            "production_country": product.production_country,
            "images": {"main": product.image},
            "brand_identity": brand.identity(),
        }
        if product.price is not None:
            shape["price"] = product.price
        if product.specs:
            shape["specs"] = dict(product.specs)
        return shape

    def brand_shape(self, product: Product) -> Row:
        brand = self.brand_of(product)
        return {"id": brand.id, **brand.identity()}

    def related_items(self, product: Product) -> list[Row]:
        """Related products that exist, as cards."""
        cards = []
        for relation in product.related:
            other = self.products.get(relation["id"])
            if other is not None:
                cards.append(
                    {
                        "id": other.id,
                        "name": other.name,
                        "category": other.category,
                        "type": relation["type"],
                        "label": relation["label"],
                        "image": other.image,
                    }
                )
        return cards

    def context_of(self, product_id: str) -> Row:
        """Brand and related items for the `context` message; never null, also for an unknown product."""
        product = self.products.get(product_id)
        if product is None:
            return {"brand": {}, "related_items": []}
        return {"brand": self.brand_shape(product), "related_items": self.related_items(product)}

    def entry(self, product: Product) -> Row:
        """A prediction's `product`, `brand` and `context`."""
        return {
            "product": self.product_shape(product),
            "brand": self.brand_shape(product),
            "context": {"related_items": self.related_items(product)},
        }


def rows_from_data(brand_data: Sequence[Row], product_data: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Table rows from the packaged catalogue's dictionaries.

    Raises ValueError naming the product: its brand or a related product does not exist.
    """
    brand_rows = [
        {
            "id": brand["id"],
            "name": brand["name"],
            "hq": brand["hq"],
            "website": brand["website"],
            "logo_url": brand.get("logo_url") or f"/static/assets/brands/{brand['id']}.svg",
            "aliases": list(brand.get("aliases") or []),
        }
        for brand in brand_data
    ]
    product_rows = [_product_row(product) for product in product_data]
    _refuse_dangling({row["id"] for row in brand_rows}, product_rows)
    return brand_rows, product_rows


def _product_row(product: Row) -> Row:
    return {
        "id": product["id"],
        "brand_id": product.get("brand_id") or product["brand"],
        "name": product["name"],
        "category": product["category"],
        "description": product["description"],
        "production_country": product["production_country"],
        "image": product.get("image") or f"/static/assets/products/{product['id']}.svg",
        "price": None if product.get("price") is None else Decimal(str(product["price"])),
        "specs": dict(product.get("specs") or {}),
        "aliases": list(product.get("aliases") or []),
        "related": [{"id": item["id"], "type": item["type"], "label": item["label"]} for item in product.get("related") or []],
        "manual_url": product.get("manual_url") or None,
    }


def _refuse_dangling(brand_ids: set[str], product_rows: list[Row]) -> None:
    product_ids = {row["id"] for row in product_rows}
    for row in product_rows:
        if row["brand_id"] not in brand_ids:
            raise ValueError(
                f"catalogue: product {row['id']} names brand {row['brand_id']!r}, which is not in the brands. Add the brand or fix the id."
            )
        for relation in row["related"]:
            if relation["id"] not in product_ids:
                raise ValueError(
                    f"catalogue: product {row['id']} is related to {relation['id']!r}, which does not exist. Fix or remove the relation."
                )


def digest_of(brand_rows: list[Row], product_rows: list[Row]) -> str:
    """Same content, same digest, whatever the order of rows."""
    by_id = [sorted(rows, key=lambda row: str(row["id"])) for rows in (brand_rows, product_rows)]
    return hashlib.sha256(json.dumps(by_id, sort_keys=True, default=str).encode()).hexdigest()


def import_rows(connection: Connection, brand_rows: list[Row], product_rows: list[Row]) -> dict[str, Any]:
    """Make the tables equal to the rows, in the caller's transaction. Writes nothing when they are already.

    Returns {"changed": bool, "digest": str, "brands": int, "products": int}.
    """
    digest = digest_of(brand_rows, product_rows)
    result = {"digest": digest, "brands": len(brand_rows), "products": len(product_rows)}
    if connection.scalar(select(catalogue_state.c.digest).where(catalogue_state.c.id == 1)) == digest:
        return {"changed": False, **result}
    _upsert(connection, brands, brand_rows)
    _upsert(connection, products, product_rows)
    for table, rows in ((products, product_rows), (brands, brand_rows)):
        _delete_others(connection, table, {row["id"] for row in rows})
    _upsert(connection, catalogue_state, [{"id": 1, "digest": digest}])
    return {"changed": True, **result}


def _delete_others(connection: Connection, table: Table, kept: set[str]) -> None:
    """What is gone from the catalogue, named in pieces: a statement can't name more than 65,535."""
    gone = sorted(set(connection.scalars(select(table.c.id))) - kept)
    for first in range(0, len(gone), 10_000):
        connection.execute(table.delete().where(table.c.id.in_(gone[first : first + 10_000])))


def _upsert(connection: Connection, table: Table, rows: list[Row]) -> None:
    statement = insert(table)
    changed = {column: statement.excluded[column] for column in rows[0] if column != "id"}
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed), rows)


def current_digest(connection: Connection) -> str:
    """The digest of the imported catalogue, empty before the first import."""
    return connection.scalar(select(catalogue_state.c.digest).where(catalogue_state.c.id == 1)) or ""


def read(connection: Connection) -> Catalogue:
    """The catalogue as PostgreSQL has it."""
    digest = current_digest(connection)
    brand_list = [Brand(**{**row, "aliases": tuple(row["aliases"])}) for row in connection.execute(select(brands)).mappings()]
    product_list = []
    for row in connection.execute(select(products).order_by(products.c.id)).mappings():
        price = None if row["price"] is None else float(row["price"])
        product_list.append(Product(**{**row, "price": price, "aliases": tuple(row["aliases"]), "related": tuple(row["related"])}))
    return Catalogue(brand_list, product_list, digest)
