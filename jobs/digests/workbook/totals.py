"""What a digest says in numbers, counted while its rows go by."""

from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, tzinfo

from receiver.db.models import REVIEWED, Classification, Ticket
from receiver.lib import sla

NOT_CLASSIFIED = "Not classified"

Label = tuple[str | None, str | None]  # A category and a request type, neither where nothing is classified.


@dataclass
class Group:
    """Tickets that have something in common; `confidence` is the sum over those that are classified."""

    count: int = 0
    classified: int = 0
    confidence: float = 0.0
    needs_review: int = 0
    at_risk: int = 0
    past_due: int = 0

    @property
    def mean_confidence(self) -> float | None:
        """None where nothing is classified."""
        return self.confidence / self.classified if self.classified else None

    def __add__(self, other: "Group") -> "Group":
        return Group(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass
class Summary:
    """The numbers of a digest: by category and request type, by day received, by SLA state and by what classified."""

    groups: dict[Label, Group] = field(default_factory=dict)
    days: Counter[date] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    engines: Counter[str] = field(default_factory=Counter)
    catalog_versions: Counter[str] = field(default_factory=Counter)
    prompt_versions: Counter[str] = field(default_factory=Counter)

    def add(self, ticket: Ticket, classification: Classification | None, now: datetime, zone: tzinfo = UTC) -> str:
        """Count one ticket as things stand at `now`, its day on the clock of `zone`; returns its SLA state."""
        state = sla.state(ticket.due_at, ticket.at_risk_at, now)
        group = self._group(classification)
        group.count += 1
        group.needs_review += needs_review(ticket, classification)
        group.at_risk += state == sla.AT_RISK
        group.past_due += state == sla.PAST_DUE
        self.days[ticket.received_at.astimezone(zone).date()] += 1
        self.states[state] += 1
        if classification:
            group.classified += 1
            group.confidence += classification.confidence
            self._note_versions(classification)
        return state

    def _group(self, classification: Classification | None) -> Group:
        label = (classification.category, classification.request_type) if classification else (None, None)
        found = self.groups.get(label)
        if found is None:
            found = self.groups[label] = Group()
        return found

    def _note_versions(self, classification: Classification) -> None:
        model = f" ({classification.model})" if classification.model else ""
        self.engines[f"{classification.engine}{model}"] += 1
        self.catalog_versions[classification.catalog_version] += 1
        if classification.prompt_version:
            self.prompt_versions[classification.prompt_version] += 1

    @property
    def all(self) -> Group:
        """Every ticket."""
        return sum(self.groups.values(), Group())

    @property
    def by_category(self) -> dict[str, Group]:
        """By the name of the category, or NOT_CLASSIFIED."""
        found: dict[str, Group] = {}
        for (category, _), group in self.groups.items():
            name = NOT_CLASSIFIED if category is None else category
            found[name] = found.get(name, Group()) + group
        return found

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
        return sum(group.count - group.classified for group in self.groups.values())

    @property
    def at_risk(self) -> int:
        """How many have used most of their time."""
        return self.all.at_risk

    @property
    def past_due(self) -> int:
        """How many are past their due date; whether they were solved before it is not known."""
        return self.all.past_due

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
