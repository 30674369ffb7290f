"""Maintained numbers: what all-time counts are read from, so that nothing counts a million rows."""

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.orm import Session

from receiver.db.models import CounterRow, table_of

_ADD = text(
    "INSERT INTO counters (name, value) VALUES (:name, :amount)"
    " ON CONFLICT (name) DO UPDATE SET value = counters.value + :amount RETURNING value"
)
_RESET = (
    update(table_of(CounterRow)).where(CounterRow.name == bindparam("reset"), CounterRow.value != 0).values(value=0)
)
_PUT = text("INSERT INTO counters (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value")


def add(session: Session, name: str, amount: int) -> int:
    """Add `amount` to a tally and return its new value; the row stays locked until the commit."""
    return int(session.connection().execute(_ADD, {"name": name, "amount": amount}).scalar_one())


def put(session: Session, name: str, value: int) -> None:
    """Set a tally to `value`."""
    session.execute(_PUT, {"name": name, "value": value})


def reset(session: Session, name: str) -> None:
    """Set a tally to 0; nothing is written where it is."""
    session.connection().execute(_RESET, {"reset": name})


def value(session: Session, name: str) -> int:
    """A tally's value, 0 where nothing was added yet."""
    return session.scalar(select(CounterRow.value).where(CounterRow.name == name)) or 0


def starting(session: Session, prefix: str) -> dict[str, int]:
    """The counters whose names begin with `prefix`, by the rest of their names."""
    rows = session.execute(
        select(CounterRow.name, CounterRow.value).where(CounterRow.name.startswith(prefix, autoescape=True))
    )
    return {name.removeprefix(prefix): count for name, count in rows}
