"""What the lists of the API share: which page is asked for, and how one is answered."""

from collections.abc import Sequence

from marshmallow import Schema, fields
from marshmallow.validate import Range

ID = "int(max=9223372036854775807)"  # A database's largest id.
MAX_ID = 2**53  # The largest whole number that every JSON reader gets right (RFC 8259, section 6).
MAX_PAGE = 200


class PageQuery(Schema):
    """Which page of a list."""

    limit = fields.Integer(
        load_default=50, validate=Range(1, MAX_PAGE), metadata={"description": "How many items the page has at most."}
    )
    cursor = fields.Integer(
        validate=Range(1, MAX_ID), metadata={"description": "`next` of the page before; without one, the first page."}
    )


def page_of(item: type[Schema], name: str) -> type[Schema]:
    """The schema of a page of such items, and the cursor of the next page."""
    items = fields.List(fields.Nested(item), required=True)
    after = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The `cursor` of the next page; null on the last one."}
    )
    return Schema.from_dict({"items": items, "next": after}, name=name)


def page(items: Sequence[dict[str, object]], limit: int) -> dict[str, object]:
    """The first `limit` of `items`; that there was one more says that another page follows."""
    more = len(items) > limit
    return {"items": items[:limit], "next": items[limit - 1]["id"] if more else None}


def columns(row: object) -> dict[str, object]:
    """The columns of a model's `row`, for a schema to choose from."""
    # Not by attribute: reading a column that the query left out would ask the database again.
    return {name: value for name, value in vars(row).items() if not name.startswith("_")}
