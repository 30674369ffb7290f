"""The tables. Times are UTC; a ticket's and a delivery's states are those of the constants here."""

from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

RECEIVED, CLASSIFIED, NEEDS_REVIEW, FAILED, REVIEWED = "received", "classified", "needs_review", "failed", "reviewed"
TICKET_STATES = (RECEIVED, CLASSIFIED, NEEDS_REVIEW, FAILED, REVIEWED)
ACCEPTED, PARTIAL, QUARANTINED, DUPLICATE, REPLAYED = "accepted", "partial", "quarantined", "duplicate", "replayed"
DELIVERY_STATES = (ACCEPTED, PARTIAL, QUARANTINED, DUPLICATE, REPLAYED)


PENDING, DONE, SUPERSEDED = "pending", "done", "superseded"
COMPLETE, WRITE_BACK = "complete", "write_back"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC; SQLite itself forgets the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, naive where the database keeps no zone."""
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Aware again."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


def _index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """A partial index, the same on both databases."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


_Id = BigInteger().with_variant(Integer, "sqlite")
_NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The record's tables."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map: ClassVar = {str: Text, datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}


def table_of(model: type[Base]) -> Table:
    """The table of a model, for statements that need no objects."""
    return cast(Table, model.__table__)


class Delivery(Base):
    """One HTTP message of a source, its raw bytes included; a redelivery is a row of its own."""

    __tablename__ = "deliveries"
    __table_args__ = (
        _index("uq_deliveries_source_key", "source", "key", unique=True, where="original_id IS NULL"),
        _index("ix_deliveries_original_id", "original_id", where="original_id IS NOT NULL"),
        Index("ix_deliveries_status_id", "status", "id"),
        Index("ix_deliveries_source_id", "source", "id"),
        Index("ix_deliveries_source_status_id", "source", "status", "id"),
        _index("ix_deliveries_conflict", "id", where="conflict"),
        _index("ix_deliveries_source_body_sha256", "source", "body_sha256", where="original_id IS NULL"),
        _index("ix_deliveries_raw", "received_at", where="body IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
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
    error: Mapped[str | None]
    original_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    conflict: Mapped[bool] = mapped_column(default=False)


class Ticket(Base):
    """Our record of one request at a helpdesk.

    While `received`, it may be claimed once `claimable_at` has passed; a claim writes a `lease` and moves
    `claimable_at` to the lease's end. `category` and `request_type` repeat the current classification, so
    that lists filter on one table. `settled` numbers the moments at which tickets left `received`, in order
    of commit; digests are cut along it. `arrived_sha256` is of the text fields as they arrived, where the helpdesk's
    API has completed them since.
    """

    __tablename__ = "tickets"
    __table_args__ = (
        # These three name the status again, or SQLite takes ix_tickets_status_id and reads everything that waits.
        _index("ix_tickets_claimable", "status", "claimable_at", where="status = 'received'"),
        _index("ix_tickets_suspects", "status", "crashes", where="status = 'received' AND crashes > 0"),
        _index("ix_tickets_review", "status", "due_at", "id", where="status = 'needs_review'"),
        Index("uq_tickets_source_external_id", "source", "external_id", unique=True),
        Index("ix_tickets_status_id", "status", "id"),
        Index("ix_tickets_source_id", "source", "id"),
        _index("ix_tickets_category_id", "category", "id", where="category IS NOT NULL"),
        _index("ix_tickets_request_type_id", "request_type", "id", where="request_type IS NOT NULL"),
        _index("ix_tickets_lease", "lease", where="lease IS NOT NULL"),
        _index("ix_tickets_settled", "settled", where="settled IS NOT NULL"),
        _index("ix_tickets_due_at", "due_at", "at_risk_at", where="due_at IS NOT NULL"),
        Index("ix_tickets_received_at", "received_at"),
        _index("ix_tickets_requester_email_id", "requester_email", "id", where="requester_email IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    source: Mapped[str]
    external_id: Mapped[str]
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), index=True)
    short_description: Mapped[str]
    long_description: Mapped[str]
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
    claimable_at: Mapped[datetime]
    lease: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    settled: Mapped[int | None] = mapped_column(BigInteger)
    arrived_sha256: Mapped[str | None]
    at_risk_at: Mapped[datetime | None]


class Classification(Base):
    """A checked decision about a ticket; the earlier ones stay as its history.

    `agreement` says whether the `second_opinion` is the same entry, `steers` that the ticket's text tries to command
    the model, `stood_in` that another engine should have answered, `repeated` that the answer to an identical ticket
    (of the same `answer_key`) was used again; `cost_micros` is in millionths of the price table's currency. Where a
    person decided, `reviewer` names them.
    """

    __tablename__ = "classifications"
    __table_args__ = (
        _index("uq_classifications_current", "ticket_id", unique=True, where="current"),
        Index("ix_classifications_ticket_id", "ticket_id"),
        _index("ix_classifications_stood_in", "ticket_id", where="current AND stood_in"),
        _index("ix_classifications_answer_key", "answer_key", where="answer_key IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    current: Mapped[bool]
    created_at: Mapped[datetime]
    category: Mapped[str]
    request_type: Mapped[str]
    sla_value: Mapped[float]
    sla_unit: Mapped[str]
    sla_is_default: Mapped[bool]
    confidence: Mapped[float]
    reasoning: Mapped[str]
    alternatives: Mapped[list[Any]]
    review_reason: Mapped[str | None]
    engine: Mapped[str]
    model: Mapped[str]
    fallback: Mapped[bool]
    mended: Mapped[bool]
    catalog_version: Mapped[str]
    prompt_version: Mapped[str | None]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency_ms: Mapped[int]
    second_opinion: Mapped[str | None]
    agreement: Mapped[bool | None]
    steers: Mapped[bool] = mapped_column(default=False, server_default=false())
    stood_in: Mapped[bool] = mapped_column(default=False, server_default=false())
    repeated: Mapped[bool] = mapped_column(default=False, server_default=false())
    answer_key: Mapped[str | None]
    cost_micros: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    reviewer: Mapped[str | None]
    example_ids: Mapped[list[Any] | None]
    before: Mapped[dict[str, Any] | None]
    undone: Mapped[bool] = mapped_column(default=False, server_default=false())


class Verdict(Base):
    """What the last review of an engine's answer says of it: the entry that was found, and the one a person chose.

    It repeats what it needs of both classifications, so that figures over months are read from one small table. `day`
    is the review's, in UTC.
    """

    __tablename__ = "verdicts"
    __table_args__ = (
        Index("ix_verdicts_ticket_id", "ticket_id"),
        Index("ix_verdicts_day", "day"),
        Index("ix_verdicts_source_day", "source", "day"),
    )

    judged_id: Mapped[int] = mapped_column(
        _Id, ForeignKey("classifications.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    day: Mapped[str]
    source: Mapped[str]
    engine: Mapped[str]
    model: Mapped[str]
    prompt_version: Mapped[str | None]
    catalog_version: Mapped[str]
    confidence: Mapped[float]
    flagged: Mapped[bool]
    found_category: Mapped[str]
    found_type: Mapped[str]
    chosen_category: Mapped[str]
    chosen_type: Mapped[str]


class Errand(Base):
    """What a helpdesk is to be asked or told about a ticket: its missing fields, or one of its classifications.

    While `pending`, it may be taken once `claimable_at` has passed; whoever takes it counts an attempt and moves
    `claimable_at` to the end of a lease. `steps` are the requests that have succeeded so far. Once `failed` it is a
    dead letter, with the reason, until somebody redrives it.
    """

    __tablename__ = "errands"
    __table_args__ = (
        _index("ix_errands_pending", "source", "kind", "claimable_at", where="status = 'pending'"),
        _index("ix_errands_failed", "id", where="status = 'failed'"),
        _index("uq_errands_classification_id", "classification_id", unique=True, where="classification_id IS NOT NULL"),
        Index("ix_errands_ticket_id", "ticket_id"),
        Index("ix_errands_source_attempted_at", "source", "attempted_at"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    kind: Mapped[str]
    source: Mapped[str]
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    classification_id: Mapped[int | None] = mapped_column(ForeignKey("classifications.id"))
    status: Mapped[str]
    steps: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    claimable_at: Mapped[datetime]
    attempted_at: Mapped[datetime | None]
    error: Mapped[str | None]


class ExampleRow(Base):
    """A ticket that a person reviewed and engines learn from; a new review of the same ticket is a new row."""

    __tablename__ = "examples"
    __table_args__ = (
        Index("uq_examples_ticket_id", "ticket_id", unique=True),
        Index("ix_examples_category_request_type", "category", "request_type"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    category: Mapped[str]
    request_type: Mapped[str]
    created_at: Mapped[datetime]


class EntryTally(Base):
    """How many tickets are attributed to an entry of some catalog; triggers keep it."""

    __tablename__ = "entry_tallies"

    category: Mapped[str] = mapped_column(primary_key=True)
    request_type: Mapped[str] = mapped_column(primary_key=True)
    tickets: Mapped[int] = mapped_column(BigInteger)


class SourceDay(Base):
    """What a source sent on one day (UTC): deliveries, how many new tickets they brought, how many were quarantined."""

    __tablename__ = "source_days"

    source: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    deliveries: Mapped[int] = mapped_column(BigInteger, default=0)
    tickets: Mapped[int] = mapped_column(BigInteger, default=0)
    quarantined: Mapped[int] = mapped_column(BigInteger, default=0)


class Spending(Base):
    """What the calls of one model on one day (UTC) cost, in millionths of the price table's currency."""

    __tablename__ = "spending"

    day: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger, default=0)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    completion_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cost_micros: Mapped[int] = mapped_column(BigInteger, default=0)


class Latency(Base):
    """How often a stage took as long as a bucket says, in the slot of time that begins `at` (seconds since 1970)."""

    __tablename__ = "latencies"
    __table_args__ = ({"sqlite_with_rowid": False},)

    at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stage: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int] = mapped_column(BigInteger)


class Endpoint(Base):
    """What was learned of a model at an endpoint, such as that it takes no strict schema."""

    __tablename__ = "endpoints"

    name: Mapped[str] = mapped_column(primary_key=True)
    learned: Mapped[dict[str, Any]]
    learned_at: Mapped[datetime]


class LinearModel(Base):
    """A linear model trained on so many `examples`, and how it did against the local engine on held-out ones.

    `known_count` and `known_newest` are the examples' signature at the time, by which one sees whether any changed.
    """

    __tablename__ = "linear_models"

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    created_at: Mapped[datetime]
    examples: Mapped[int]
    known_count: Mapped[int]
    known_newest: Mapped[int] = mapped_column(BigInteger)
    accuracy: Mapped[float]
    rival_accuracy: Mapped[float]
    in_force: Mapped[bool]
    weights: Mapped[bytes | None] = mapped_column(LargeBinary)


class Digest(Base):
    """One mail of one period; the unique pair of name and period is what lets it be claimed once.

    `copy_of` names the digest whose content somebody had sent again; an alert is a digest without a workbook.
    """

    __tablename__ = "digests"
    __table_args__ = (
        Index("uq_digests_name_period", "name", "period", unique=True),
        Index("ix_digests_name_settled_until", "name", "settled_until"),
        Index("ix_digests_status", "status"),
    )

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
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
    claimable_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    error: Mapped[str | None]
    copy_of: Mapped[int | None] = mapped_column(_Id)


class DigestTicket(Base):
    """A ticket in a digest, as it was classified then."""

    __tablename__ = "digest_tickets"

    digest_id: Mapped[int] = mapped_column(ForeignKey("digests.id"), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), primary_key=True, index=True)
    classification_id: Mapped[int | None] = mapped_column(ForeignKey("classifications.id"), index=True)


class CatalogVersion(Base):
    """A catalog that classified tickets, or could have, word for word.

    `since` is when it came into the record, `loaded_at` when it was last confirmed, `location` where (what may be
    secret left out), and `etag` and `modified` are the validators that came with it.
    """

    __tablename__ = "catalogs"

    version: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    loaded_at: Mapped[datetime] = mapped_column(index=True)
    location: Mapped[str | None]
    etag: Mapped[str | None]
    modified: Mapped[str | None]
    since: Mapped[datetime | None]


class Tombstone(Base):
    """An erased ticket: the digest of its source and its name there, so that nothing brings it back."""

    __tablename__ = "tombstones"

    name_sha256: Mapped[str] = mapped_column(primary_key=True)


class Tally(Base):
    """A maintained number: counts of states (kept by triggers), tokens used, the last `settled` given out."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class Alarm(Base):
    """Something an operator must know, while it lasts."""

    __tablename__ = "alarms"

    name: Mapped[str] = mapped_column(primary_key=True)
    message: Mapped[str]
    since: Mapped[datetime]


class TimetableEntry(Base):
    """The last slot of a timed job that was acted upon."""

    __tablename__ = "timetable"

    name: Mapped[str] = mapped_column(primary_key=True)
    last_slot: Mapped[datetime]


class TimedJob(Base):
    """A job of the timetable, every so many `seconds`, and how its last run went; `error` names what it died of."""

    __tablename__ = "timed_jobs"

    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    seconds: Mapped[int]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    error: Mapped[str | None]


class AuditEntry(Base):
    """What somebody changed; `hash` is over this entry and the hash of the one before, so that no line can be edited.

    `number` counts without gaps, and the tally `audit` holds the last, so that none can be cut off either.
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_subject", "subject"),
        Index("ix_audit_who", "who"),
        Index("ix_audit_action", "action"),
        Index("ix_audit_action_who", "action", "who"),
    )

    number: Mapped[int] = mapped_column(_Id, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    who: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]
    hash: Mapped[str]


class Person(Base):
    """Somebody who may sign in; one without a password was invited and has not answered yet, or comes by OIDC."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str | None]
    active: Mapped[bool]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]


class SignInLink(Base):
    """A one-time link, kept as the digest of its token. Without a person, it makes the first admin's account.

    It lets its person in at once, or, where it `sets_password`, asks for a new password first.
    """

    __tablename__ = "sign_in_links"
    __table_args__ = (Index("ix_sign_in_links_person_id", "person_id"),)

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    sets_password: Mapped[bool]


class BrowserSession(Base):
    """A browser in which a person is signed in, kept as the digest of what its cookie holds."""

    __tablename__ = "browser_sessions"
    __table_args__ = (Index("ix_browser_sessions_person_id", "person_id"),)

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class ApiToken(Base):
    """A person's bearer token, kept as its digest; it may do what its role may, and never more than its person."""

    __tablename__ = "api_tokens"
    __table_args__ = (Index("ix_api_tokens_person_id", "person_id"),)

    id: Mapped[int] = mapped_column(_Id, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    name: Mapped[str]
    role: Mapped[str]
    read_only: Mapped[bool]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class SignInTry(Base):
    """How often somebody tried to sign in of late, by account, by address or by browser, and until when they wait."""

    __tablename__ = "sign_in_tries"
    __table_args__ = (Index("ix_sign_in_tries_last_at", "last_at"),)

    key_sha256: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]
    last_at: Mapped[datetime]
    until: Mapped[datetime]
