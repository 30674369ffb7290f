"""What a digest says in numbers, counted while its rows go by."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from receiver import sla
from receiver.record.models import REVIEWED, Classification, Ticket

NOT_CLASSIFIED = "Not classified"


@dataclass
class Group:
    """Tickets that have something in common; `confidence` is the sum over those that are classified."""

    count: int = 0
    classified: int = 0
    confidence: float = 0.0
    needs_review: int = 0
    at_risk: int = 0
    breached: int = 0

    def add(self, classification: Classification | None, state: str, *, unsure: bool) -> None:
        """Count one ticket."""
        self.count += 1
        self.needs_review += unsure
        self.at_risk += state == sla.AT_RISK
        self.breached += state == sla.BREACHED
        if classification:
            self.classified += 1
            self.confidence += classification.confidence

    @property
    def mean_confidence(self) -> float | None:
        """None where nothing is classified."""
        return self.confidence / self.classified if self.classified else None


@dataclass
class Summary:
    """The numbers of a digest: in all, by category, by category and request type, by day received and by SLA state."""

    all: Group = field(default_factory=Group)
    by_category: dict[str, Group] = field(default_factory=dict)
    by_request_type: dict[tuple[str, str], Group] = field(default_factory=dict)
    days: Counter[date] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    catalog_versions: Counter[str] = field(default_factory=Counter)
    prompt_versions: Counter[str] = field(default_factory=Counter)

    def add(self, ticket: Ticket, classification: Classification | None, now: datetime) -> str:
        """Count one ticket as things stand at `now`; returns its SLA state."""
        state = sla.state(ticket.due_at, ticket.at_risk_at, now)
        unsure = needs_review(ticket, classification)
        for group in self._groups(classification):
            group.add(classification, state, unsure=unsure)
        self.days[ticket.received_at.astimezone(UTC).date()] += 1
        self.states[state] += 1
        if classification:
            model = f" ({classification.model})" if classification.model else ""
            self.engines[f"{classification.engine}{model}"] += 1
            self.catalog_versions[classification.catalog_version] += 1
            if classification.prompt_version:
                self.prompt_versions[classification.prompt_version] += 1
        return state

    def _groups(self, classification: Classification | None) -> tuple[Group, ...]:
        if classification is None:
            return self.all, self.by_category.setdefault(NOT_CLASSIFIED, Group())
        key = classification.category, classification.request_type
        category = self.by_category.setdefault(classification.category, Group())
        return self.all, category, self.by_request_type.setdefault(key, Group())

    @property
    def total(self) -> int:
        """How many tickets there are."""
        return self.all.count

    @property
    def needs_review(self) -> int:
        """How many of them a person should look at."""
        return self.all.needs_review

    @property
    def failed(self) -> int:
        """How many could not be classified."""
        return self.all.count - self.all.classified

    @property
    def at_risk(self) -> int:
        """How many have used most of their time."""
        return self.all.at_risk

    @property
    def breached(self) -> int:
        """How many are past their due date."""
        return self.all.breached

    @property
    def categories(self) -> Counter[str]:
        """Tickets by category."""
        return Counter({name: group.count for name, group in self.by_category.items()})

    @property
    def reviews(self) -> Counter[str]:
        """Tickets that need review by category."""
        return Counter({name: group.needs_review for name, group in self.by_category.items()})


def needs_review(ticket: Ticket, classification: Classification | None) -> bool:
    """Whether a person should look: by the classification that is shown, unless one has looked since."""
    return ticket.status != REVIEWED and (classification is None or classification.review_reason is not None)
