"""What keeps the service going: maintained numbers, alarms, circuit breakers and the timetable."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from receiver.db.models.base import Base, Prose


class CounterRow(Base):
    """A maintained number: counts of states (kept by triggers), tokens used, the last `settled` given out."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class Latency(Base):
    """How often a stage took as long as a bucket says, in the slot of time that begins `at` (seconds since 1970)."""

    __tablename__ = "latencies"
    __table_args__ = ({"sqlite_with_rowid": False},)

    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stage: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)


class Refusal(Base):
    """How often something was refused in the minute that begins `at` (seconds since 1970), and who did it last."""

    __tablename__ = "refusals"

    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    address: Mapped[str]


class Alarm(Base):
    """Something an operator must know, while it lasts, and that no other table says.

    `kind` is what it is about, `subject` whose it is where there may be one for each source, digest or queue. What is
    wrong is a code with its details; receiver.db.alarms makes a sentence of them.
    """

    __tablename__ = "alarms"

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    detail: Mapped[dict[str, Any]]
    since: Mapped[datetime]


class Pause(Base):
    """What a person has paused, while it is; the one `scope` is classification."""

    __tablename__ = "pause"

    scope: Mapped[str] = mapped_column(primary_key=True)
    who: Mapped[str]
    since: Mapped[datetime]


class Circuit(Base):
    """Whether what we call is left alone: the model's endpoint, by the name `engine`, or a helpdesk, `helpdesk:SOURCE`.

    `state` is closed, open, or half_open while a probe is out. `failures` are those in a row. `cause` and `detail` are
    the code and the facts of the last of them, of which receiver.lib.failures makes a sentence. `probe_at` is when one
    call may next be tried, `answered_at` when the last answer came.
    """

    __tablename__ = "circuit"

    name: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    failures: Mapped[int]
    opened_at: Mapped[datetime | None]
    cause: Mapped[str | None]
    detail: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    probe_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]


class TimetableEntry(Base):
    """The last slot of a digest, by its name, that was acted upon."""

    __tablename__ = "timetable"

    name: Mapped[str] = mapped_column(primary_key=True)
    last_slot: Mapped[datetime]


class Moment(Base):
    """When something was last done, or until when something is left alone; receiver.db.moments lists the kinds."""

    __tablename__ = "moments"

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class TimedJob(Base):
    """A job of the timetable, every so many `seconds`, and how its last run went; `error` names what it died of."""

    __tablename__ = "timed_jobs"

    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    seconds: Mapped[int]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str | None]


class Process(Base):
    """A worker, a scheduler or a watch that says that it lives, or that its supervisor says has died.

    `role` is what it does, such as `worker classify`; `place` is its machine and pid. One that ends as it should
    takes its row with it.
    """

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
    place: Mapped[str]
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    died_at: Mapped[datetime | None]
    last_words: Mapped[Prose | None]
