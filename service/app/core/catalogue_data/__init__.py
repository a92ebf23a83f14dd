"""The catalogue that comes with the product: makers and products as facts in two JSON files, relations derived from them.

A product in `products.json`: {"id", "brand", "name", "category", "country" (made in), "price" (US dollars, typical, or null), "note" (in
our words), "aliases", "manual" (whether the manuals server has one)}.
"""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from importlib.resources import files
from typing import Any

Row = dict[str, Any]
SAME_MAKER, ALTERNATIVES = 3, 2


def _rows(name: str) -> list[Row]:
    rows: list[Row] = json.loads((files(__package__) / name).read_text(encoding="utf-8"))
    return rows


@cache
def load() -> tuple[list[Row], list[Row]]:
    """(brands, products) as `app.core.catalog.rows_from_data` reads them."""
    brands, raw = _rows("brands.json"), _rows("products.json")
    names = {brand["id"]: brand["name"] for brand in brands}
    by_category: dict[str, list[Row]] = defaultdict(list)
    for product in raw:
        by_category[product["category"]].append(product)
    return brands, [_product(product, names, by_category[product["category"]], raw) for product in raw]


def _product(product: Row, names: dict[str, str], same_category: list[Row], everything: list[Row]) -> Row:
    maker = names[product["brand"]]
    return {
        "id": product["id"],
        "brand_id": product["brand"],
        "name": product["name"],
        "category": product["category"],
        "description": f"{maker} {product['name']}: {product['note']}.",
        "production_country": product["country"],
        "price": product["price"],
        "specs": {"type": product["category"], "made_in": product["country"]},
        "aliases": product["aliases"],
        "related": _related(product, maker, names, same_category, everything),
        "manual_url": f"/manuals/{product['id']}.pdf" if product["manual"] else None,
    }


def _related(product: Row, maker: str, names: dict[str, str], same_category: list[Row], everything: list[Row]) -> list[Row]:
    """Siblings of the same maker (same category first), then the alternatives of other makers that cost most nearly the same."""
    siblings = [item for item in everything if item["brand"] == product["brand"] and item["id"] != product["id"]]
    siblings.sort(key=lambda item: item["category"] != product["category"])
    price = product["price"] or 0
    others = [item for item in same_category if item["brand"] != product["brand"]]
    others.sort(key=lambda item: (abs((item["price"] or 0) - price), item["id"]))
    cards = [{"id": item["id"], "type": "same_brand", "label": f"Also from {maker}"} for item in siblings[:SAME_MAKER]]
    return cards + [
        {"id": item["id"], "type": "alternative", "label": f"{product['category']} from {names[item['brand']]}"}
        for item in others[:ALTERNATIVES]
    ]
