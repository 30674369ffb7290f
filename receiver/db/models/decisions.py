"""What tickets were attributed to, by what, and what people say of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, false
from sqlalchemy.orm import Mapped, mapped_column

from receiver.db.models.base import Base, Id, Prose, partial_index


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


class Classification(Base):
    """A checked decision about a ticket; the earlier ones stay as its history.

    `review_reason` is a code of receiver.db.review_reasons, and `review_detail` what its sentence names beside it.
    `agreement` says whether the `second_opinion` is the same entry, `steers` that the ticket's text tries to command
    the model, `from_fallback_engine` that another engine should have answered, `stand_in_cause` (a code) why it did
    not, `from_cache` that the answer to an identical ticket (of the same `cache_key`) was used again; `cost_micros` is
    in millionths of the price table's currency. Where a person decided, `reviewer` names them.
    """

    __tablename__ = "classifications"
    __table_args__ = (
        partial_index("uq_classifications_current", "ticket_id", unique=True, where="current"),
        Index("ix_classifications_ticket_id", "ticket_id"),
        partial_index("ix_classifications_from_fallback_engine", "ticket_id", where="current AND from_fallback_engine"),
        partial_index("ix_classifications_cache_key", "cache_key", where="cache_key IS NOT NULL"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    current: Mapped[bool]
    created_at: Mapped[datetime]
    category: Mapped[str]
    request_type: Mapped[str]
    sla_value: Mapped[float]
    sla_unit: Mapped[str]
    sla_is_default: Mapped[bool]
    confidence: Mapped[float]
    reasoning: Mapped[Prose]
    alternatives: Mapped[list[Any]]
    review_reason: Mapped[str | None]
    engine: Mapped[str]
    model: Mapped[str]
    fallback: Mapped[bool]
    fuzzy_matched: Mapped[bool]
    catalog_version: Mapped[str]
    prompt_version: Mapped[str | None]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    latency_ms: Mapped[int]
    second_opinion: Mapped[str | None]
    agreement: Mapped[bool | None]
    steers: Mapped[bool] = mapped_column(default=False, server_default=false())
    from_fallback_engine: Mapped[bool] = mapped_column(default=False, server_default=false())
    from_cache: Mapped[bool] = mapped_column(default=False, server_default=false())
    cache_key: Mapped[str | None]
    cost_micros: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    reviewer: Mapped[str | None]
    example_ids: Mapped[list[Any] | None]
    before: Mapped[dict[str, Any] | None]
    undone: Mapped[bool] = mapped_column(default=False, server_default=false())
    stand_in_cause: Mapped[str | None]
    review_detail: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class ReviewOutcome(Base):
    """What the last review of an engine's answer says of it: the entry that was found, and the one a person chose.

    It repeats what it needs of both classifications, so that figures over months are read from one small table. `day`
    is the review's, in UTC.
    """

    __tablename__ = "review_outcomes"
    __table_args__ = (
        Index("ix_review_outcomes_ticket_id", "ticket_id"),
        Index("ix_review_outcomes_day", "day"),
        Index("ix_review_outcomes_source_day", "source", "day"),
    )

    judged_id: Mapped[int] = mapped_column(
        Id, ForeignKey("classifications.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
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


class ExampleRow(Base):
    """A ticket that a person reviewed and engines learn from; a new review of the same ticket is a new row."""

    __tablename__ = "examples"
    __table_args__ = (
        Index("uq_examples_ticket_id", "ticket_id", unique=True),
        Index("ix_examples_category_request_type", "category", "request_type"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"))
    category: Mapped[str]
    request_type: Mapped[str]
    created_at: Mapped[datetime]


class LinearModel(Base):
    """A linear model trained on so many `examples`, and how it did against the local engine on held-out ones.

    `known_count` and `known_newest` are the examples' signature at the time, by which one sees whether any changed.
    """

    __tablename__ = "linear_models"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    created_at: Mapped[datetime]
    examples: Mapped[int]
    known_count: Mapped[int]
    known_newest: Mapped[int] = mapped_column(BigInteger)
    accuracy: Mapped[float]
    rival_accuracy: Mapped[float]
    in_force: Mapped[bool]
    weights: Mapped[bytes | None] = mapped_column(LargeBinary)


class EntryCounter(Base):
    """How many tickets are attributed to an entry of some catalog; triggers keep it."""

    __tablename__ = "entry_counters"

    category: Mapped[str] = mapped_column(primary_key=True)
    request_type: Mapped[str] = mapped_column(primary_key=True)
    tickets: Mapped[int] = mapped_column(BigInteger)


class ModelCapabilities(Base):
    """What was learned of a model at an endpoint, such as that it takes no strict schema."""

    __tablename__ = "model_capabilities"

    name: Mapped[str] = mapped_column(primary_key=True)
    learned: Mapped[dict[str, Any]]
    learned_at: Mapped[datetime]


class Spending(Base):
    """What the calls of one model on one day (UTC) cost, in millionths of the price table's currency."""

    __tablename__ = "spending"

    day: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[int] = mapped_column(BigInteger, default=0)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    completion_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cost_micros: Mapped[int] = mapped_column(BigInteger, default=0)
