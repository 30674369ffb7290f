"""What arrived: deliveries and their tickets, in the states of the constants here."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, false
from sqlalchemy.orm import Mapped, mapped_column

from receiver.db.models.base import Base, Id, Prose, partial_index

RECEIVED, CLASSIFIED, NEEDS_REVIEW, FAILED, REVIEWED = "received", "classified", "needs_review", "failed", "reviewed"
TICKET_STATES = (RECEIVED, CLASSIFIED, NEEDS_REVIEW, FAILED, REVIEWED)
ACCEPTED, PARTIAL, QUARANTINED, DUPLICATE, REPLAYED, DISMISSED = DELIVERY_STATES = (
    *("accepted", "partial", "quarantined", "duplicate", "replayed"),
    "dismissed",  # A person has looked, and nothing in it is a ticket.
)
WEBHOOK, RECONCILE, ONE_SHOT = ORIGINS = ("webhook", "reconcile", "run")
VERIFIED, UNSIGNED = VERIFICATIONS = ("verified", "unsigned")


class Delivery(Base):
    """One HTTP message of a source, its raw bytes included; a redelivery is a row of its own.

    `origin` is what brought it: the source's webhook, our reconciling, or a run of the command line. What came by
    webhook was `verified`, or is `unsigned` and came from the address of `peer`. `own_shape` says that the body holds
    tickets in our own fields instead of the source's.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        partial_index("uq_deliveries_source_key", "source", "key", unique=True, where="original_id IS NULL"),
        partial_index("ix_deliveries_original_id", "original_id", where="original_id IS NOT NULL"),
        Index("ix_deliveries_status_id", "status", "id"),
        Index("ix_deliveries_source_id", "source", "id"),
        Index("ix_deliveries_source_status_id", "source", "status", "id"),
        partial_index("ix_deliveries_conflict", "id", where="conflict"),
        partial_index("ix_deliveries_source_body_sha256", "source", "body_sha256", where="original_id IS NULL"),
        partial_index("ix_deliveries_raw", "received_at", where="body IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    source: Mapped[str]
    key: Mapped[str]
    received_at: Mapped[datetime]
    status: Mapped[str]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    body_sha256: Mapped[str]
    accepted: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    duplicates: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[list[Any]] = mapped_column(default=list)
    error: Mapped[Prose | None]
    original_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    conflict: Mapped[bool] = mapped_column(default=False)
    origin: Mapped[str] = mapped_column(default=WEBHOOK, server_default=WEBHOOK)
    verification: Mapped[str | None]
    peer: Mapped[str | None]
    own_shape: Mapped[bool] = mapped_column(default=False, server_default=false())


class Ticket(Base):
    """Our record of one request at a helpdesk.

    While `received`, it is work of the kind `classify` in the queue; `attempts` and `error` tell how often that was
    tried, and what went wrong the last time. `category` and `request_type` repeat the current classification, so that
    lists filter on one table. `settled` numbers the moments at which tickets left `received`, in order
    of commit; digests are cut along it. `arrived_sha256` is of the text fields as they arrived, where the helpdesk's
    API has completed them since.
    """

    __tablename__ = "tickets"
    __table_args__ = (
        # It names the status again, or SQLite takes ix_tickets_status_id and reads everything that waits.
        partial_index("ix_tickets_review", "status", "due_at", "id", where="status = 'needs_review'"),
        Index("uq_tickets_source_external_id", "source", "external_id", unique=True),
        Index("ix_tickets_status_id", "status", "id"),
        Index("ix_tickets_source_id", "source", "id"),
        partial_index("ix_tickets_category_id", "category", "id", where="category IS NOT NULL"),
        partial_index("ix_tickets_request_type_id", "request_type", "id", where="request_type IS NOT NULL"),
        partial_index("ix_tickets_settled", "settled", where="settled IS NOT NULL"),
        partial_index("ix_tickets_due_at", "due_at", "at_risk_at", where="due_at IS NOT NULL"),
        Index("ix_tickets_received_at", "received_at"),
        partial_index("ix_tickets_requester_email_id", "requester_email", "id", where="requester_email IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    source: Mapped[str]
    external_id: Mapped[str]
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), index=True)
    short_description: Mapped[Prose]
    long_description: Mapped[Prose]
    requester_email: Mapped[str | None]
    priority: Mapped[str | None]
    url: Mapped[str | None]
    source_created_at: Mapped[datetime | None]
    source_updated_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    status: Mapped[str]
    category: Mapped[str | None]
    request_type: Mapped[str | None]
    due_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[Prose | None]
    settled: Mapped[int | None] = mapped_column(BigInteger)
    arrived_sha256: Mapped[str | None]
    at_risk_at: Mapped[datetime | None]


class Tombstone(Base):
    """An erased ticket: the digest of its source and its name there, so that nothing brings it back."""

    __tablename__ = "tombstones"

    name_sha256: Mapped[str] = mapped_column(primary_key=True)


class SourceDailyStats(Base):
    """What a source sent on one day (UTC): deliveries, how many new tickets they brought, how many were quarantined."""

    __tablename__ = "source_daily_stats"

    source: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    deliveries: Mapped[int] = mapped_column(BigInteger, default=0)
    tickets: Mapped[int] = mapped_column(BigInteger, default=0)
    quarantined: Mapped[int] = mapped_column(BigInteger, default=0)
