"""Items in our own shape: read field by field, with the same outcome as by the schema itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from receiver.intake.schemas import TicketIn
from receiver.intake.sources import standard

_VALUES = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.integers(),
    st.booleans(),
    st.sampled_from(["2026-01-31T10:00:00+01:00", "ada@example.com", "https://example.com/1", "{{ticket.id}}", ""]),
    st.lists(st.integers(), max_size=2),
)
_NAMES = st.sampled_from([field.data_key or name for name, field in TicketIn().fields.items()] + ["unknown"])
_GOOD = {"id": "T-1", "short_description": "VPN"}
_ITEMS = st.one_of(
    st.dictionaries(_NAMES, _VALUES, max_size=6).map(lambda changed: _GOOD | changed),
    st.dictionaries(_NAMES, _VALUES, max_size=4),
    _VALUES,
)


@given(st.lists(_ITEMS, max_size=4))
def test_items_are_read_as_the_schema_reads_them(items: list[Any]) -> None:
    usable, faults = [], {}
    for index, item in enumerate(items):
        try:
            usable.append(TicketIn().load(item))
        except ValidationError as error:
            faults[index] = error.normalized_messages()
    content = standard.validate(items)
    assert list(content.tickets) == usable
    assert {fault["index"]: fault["errors"] for fault in content.rejected} == faults
