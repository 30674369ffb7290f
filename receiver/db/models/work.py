"""The work queue: what is to be done, one row a piece of work."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from receiver.db.models.base import Base, Id, Prose, partial_index
from receiver.db.models.notifications import COMPLETE, WRITE_BACK

CLASSIFY, SEND_DIGEST, RETRY_FALLBACK = "classify", "send_digest", "retry_fallback"
# What a row is about: a ticket; an outgoing call (two kinds); a digest; a classification by the fallback engine.
WORK_KINDS = (CLASSIFY, COMPLETE, WRITE_BACK, SEND_DIGEST, RETRY_FALLBACK)
DUE, LEASED, DEAD = WORK_STATES = ("due", "leased", "dead")


class Work(Base):
    """Something to be done about the row `subject_id` of what its `kind` is about.

    While `due`, it may be claimed from `run_at` on; a claim counts an attempt and makes it `leased` to `lease_owner`
    until `lease_until`, which the owner renews while it lives. `crashes` counts the owners that died over it. What is
    done has no row any more; a `dead` letter waits for a person, with the reason. `source` is whose turn it is, where
    sources take turns.
    """

    __tablename__ = "work"
    __table_args__ = (
        Index("uq_work_kind_subject_id", "kind", "subject_id", unique=True),
        partial_index("ix_work_due", "kind", "run_at", where="state = 'due'"),
        partial_index("ix_work_due_of_source", "kind", "source", "run_at", where="state = 'due'"),
        partial_index("ix_work_crashed", "kind", "crashes", where="state = 'due' AND crashes > 0"),
        partial_index("ix_work_leased", "kind", "lease_until", where="state = 'leased'"),
        partial_index("ix_work_lease_owner", "lease_owner", where="lease_owner IS NOT NULL"),
        partial_index("ix_work_dead", "kind", "id", where="state = 'dead'"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str]
    subject_id: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str | None]
    state: Mapped[str]
    run_at: Mapped[datetime]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None]
    error: Mapped[Prose | None]
