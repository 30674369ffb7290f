"""The circuit breaker has a table of its own; an outage was an alarm, and its moments were in the timetable."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

_ALARMS = sa.table("alarms", sa.column("kind"), sa.column("detail", sa.JSON), sa.column("since"))
_TIMETABLE = sa.table("timetable", *map(sa.column, ("name", "last_slot")))
_COUNTERS = sa.table("counters", *map(sa.column, ("name", "value")))


def upgrade() -> None:
    circuit = op.create_table(
        "circuit",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True)),
        sa.Column("cause", sa.Text),
        sa.Column("detail", sa.JSON(none_as_null=True)),
        sa.Column("probe_at", sa.DateTime(timezone=True)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("name", name="pk_circuit"),
    )
    bind = op.get_bind()
    detail = bind.execute(sa.select(_ALARMS.c.detail).where(_ALARMS.c.kind == "engine")).scalar()
    said = None if detail is None else detail.get("error") or detail.get("text")
    failures = bind.execute(sa.select(_COUNTERS.c.value).where(_COUNTERS.c.name == "engine.failures")).scalar() or 0
    # The next probe, ten seconds later at most, puts a code in the place of the sentence.
    outage = {
        "cause": "other",
        "detail": {"said": said},
        "opened_at": sa.select(_ALARMS.c.since).where(_ALARMS.c.kind == "engine").scalar_subquery(),
        "probe_at": _noted("engine.probe"),
    }
    bind.execute(
        sa.insert(circuit).values(
            name="engine",
            state="closed" if said is None else "open",
            failures=failures if said is None else max(failures, 1),
            answered_at=_noted("engine.answered"),
            **(outage if said is not None else {}),
        )
    )
    bind.execute(sa.delete(_ALARMS).where(_ALARMS.c.kind == "engine"))
    bind.execute(sa.delete(_COUNTERS).where(_COUNTERS.c.name == "engine.failures"))
    bind.execute(sa.delete(_TIMETABLE).where(_TIMETABLE.c.name.in_(["engine.probe", "engine.answered"])))


def _noted(name: str) -> sa.ScalarSelect[object]:
    return sa.select(_TIMETABLE.c.last_slot).where(_TIMETABLE.c.name == name).scalar_subquery()
