"""Spending: what each model cost on each day, and how much of a day's budget is spoken for.

Money is in millionths of the price table's currency, days are UTC.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from receiver.db import counters
from receiver.db.models import Spending

_ADD = text(
    "INSERT INTO spending (day, model, calls, prompt_tokens, completion_tokens, cost_micros)"
    " VALUES (:day, :model, :calls, :prompt_tokens, :completion_tokens, :cost_micros)"
    " ON CONFLICT (day, model) DO UPDATE SET calls = spending.calls + :calls,"
    " prompt_tokens = spending.prompt_tokens + :prompt_tokens,"
    " completion_tokens = spending.completion_tokens + :completion_tokens,"
    " cost_micros = spending.cost_micros + :cost_micros"
)


def day_of(moment: datetime) -> str:
    """The name of a moment's day."""
    return moment.date().isoformat()


def add(session: Session, row: Spending) -> None:
    """Add the calls, tokens and money of `row` to what its model has cost on its day."""
    names = ("day", "model", "calls", "prompt_tokens", "completion_tokens", "cost_micros")
    session.execute(_ADD, {name: getattr(row, name) for name in names})


def on(session: Session, day: str) -> Sequence[Spending]:
    """What every model cost on a day, the dearest first."""
    query = select(Spending).where(Spending.day == day).order_by(Spending.cost_micros.desc(), Spending.model)
    return session.scalars(query).all()


def reserve(session: Session, day: str, micros: int, budget: int) -> bool:
    """Speak for so much of a day's `budget`; False, and nothing is taken, where that is more than is left."""
    if counters.add(session, _name(day), micros) <= budget:
        return True
    release(session, day, micros)
    return False


def release(session: Session, day: str, micros: int) -> None:
    """Give back what was reserved and not spent."""
    counters.add(session, _name(day), -micros)


def _name(day: str) -> str:
    return f"budget.{day}"
