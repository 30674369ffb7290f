"""What others are told: managers by digest, helpdesks by outgoing calls."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from receiver.db.models.base import Base, Id, Prose, partial_index

DONE, SUPERSEDED = "done", "superseded"
COMPLETE, WRITE_BACK = "complete", "write_back"


class Digest(Base):
    """One mail of one period; the unique pair of name and period is what lets it be claimed once.

    While it is `claimed` or `sending`, a row of `work` says when it is sent, or by whom. `attempts` is how often it was
    begun in all; each time it is ordered again, the work counts its own from the start.
    `copy_of` names the digest whose content somebody had sent again; an alert is a digest without a workbook.
    `run_key` is of the tickets and recipients of a run of the command line that has not ended. Where the mail was
    cancelled, `cancel_code` says why, and `replaced_by` which digest tells of its tickets instead.
    """

    __tablename__ = "digests"
    __table_args__ = (
        Index("uq_digests_name_period", "name", "period", unique=True),
        Index("ix_digests_name_settled_until", "name", "settled_until"),
        Index("ix_digests_status", "status"),
        partial_index("uq_digests_run_key", "run_key", unique=True, where="run_key IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str]
    period: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[datetime]
    settled_after: Mapped[int] = mapped_column(BigInteger)
    settled_until: Mapped[int] = mapped_column(BigInteger)
    tickets: Mapped[int]
    recipients: Mapped[list[Any]]
    message_id: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    error: Mapped[Prose | None]
    copy_of: Mapped[int | None] = mapped_column(Id)
    without_workbook: Mapped[bool] = mapped_column(default=False, server_default=false())  # Too large for its server.
    run_key: Mapped[str | None]
    cancel_code: Mapped[str | None]
    replaced_by: Mapped[int | None] = mapped_column(Id)


class DigestRecipient(Base):
    """What became of a digest for one of its recipients; receiver.db.recipients names the states.

    `resends` counts how often it was sent again because nobody knew whether it had arrived.
    """

    __tablename__ = "digest_recipients"

    digest_id: Mapped[int] = mapped_column(ForeignKey("digests.id"), primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    error_code: Mapped[str | None]
    error: Mapped[Prose | None]
    attempts: Mapped[int] = mapped_column(default=0)
    resends: Mapped[int] = mapped_column(default=0)
    run_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class DigestTicket(Base):
    """A ticket in a digest, as it was classified then."""

    __tablename__ = "digest_tickets"

    digest_id: Mapped[int] = mapped_column(ForeignKey("digests.id"), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), primary_key=True, index=True)
    classification_id: Mapped[int | None] = mapped_column(ForeignKey("classifications.id"), index=True)


class OutgoingCall(Base):
    """What a helpdesk is asked or told about a ticket: its missing fields, or one of its classifications.

    Until it has an `outcome`, a row of `work` says when it is tried next, or why it is a dead letter. `steps` are the
    requests that have succeeded so far, so that none of them is sent again.
    """

    __tablename__ = "outgoing_calls"
    __table_args__ = (
        partial_index(
            "uq_outgoing_calls_classification_id",
            "classification_id",
            unique=True,
            where="classification_id IS NOT NULL",
        ),
        Index("ix_outgoing_calls_ticket_id", "ticket_id"),
        Index("ix_outgoing_calls_source_attempted_at", "source", "attempted_at"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str]
    source: Mapped[str]
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    classification_id: Mapped[int | None] = mapped_column(ForeignKey("classifications.id"))
    steps: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    attempted_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
