"""Outcomes of labelled tickets to figures. Pure."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, quantiles
from typing import Any

from jobs.decide import Decision
from jobs.engines import Engine, Proposal, TicketText

_BINS = 10


@dataclass(frozen=True)
class Labelled:
    """A ticket and the (category, request type) that a person chose for it; `number` is its place in the file."""

    number: int
    text: TicketText
    label: tuple[str, str]


@dataclass(frozen=True)
class Outcome:
    """What became of one labelled ticket."""

    ticket: Labelled
    decision: Decision
    proposal: Proposal
    latency_ms: float

    @property
    def found(self) -> tuple[str, str]:
        """The entry it was attributed to."""
        return self.decision.request_type.category, self.decision.request_type.name

    @property
    def is_right(self) -> bool:
        """Whether that is the person's choice."""
        return self.found == self.ticket.label

    @property
    def is_in_top_3(self) -> bool:
        """Whether the person's choice is the answer or one of its two alternatives."""
        _, name = self.ticket.label
        also = {name, ": ".join(self.ticket.label)}  # A name of several categories is written with its own.
        return self.is_right or bool(also & set(self.proposal.alternatives[:2]))


def measure(outcomes: Sequence[Outcome], engine: Engine, unanswered: int = 0) -> dict[str, Any]:
    """The figures: shares between 0 and 1, `latency_ms` a ticket, costs in the price table's currency.

    They are of the outcomes, at least one; `unanswered` is how many attributions came to none.
    """
    latencies = [outcome.latency_ms for outcome in outcomes]
    cuts = quantiles(latencies, n=20, method="inclusive") if len(latencies) > 1 else latencies * 19
    tickets = len({outcome.ticket.number for outcome in outcomes})
    categories = [(outcome.ticket.label[0], outcome.found[0]) for outcome in outcomes]
    types = [(" / ".join(outcome.ticket.label), " / ".join(outcome.found)) for outcome in outcomes]
    return {
        "n": len(outcomes),
        "tickets": tickets,
        "unanswered": unanswered,
        "engine": engine.name,
        "model": engine.model,
        "category": _scores(categories, tickets),
        "request_type": _scores(types, tickets) | {"top_3_accuracy": fmean(o.is_in_top_3 for o in outcomes)},
        "coverage_at_2_percent_error": coverage(outcomes, 0.02),
        "coverage_at_5_percent_error": coverage(outcomes, 0.05),
        "ece": calibration_error(outcomes),
        "agreement": agreement(outcomes),
        "latency_ms": {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)},
        "tokens_per_1000": {
            "prompt": round(1000 * fmean(outcome.proposal.prompt_tokens for outcome in outcomes)),
            "completion": round(1000 * fmean(outcome.proposal.completion_tokens for outcome in outcomes)),
        },
        "cost_per_1000": round(fmean(outcome.proposal.cost_micros for outcome in outcomes) / 1000, 6),
    }


def _scores(pairs: Sequence[tuple[str, str]], tickets: int) -> dict[str, Any]:
    accuracy = fmean(truth == found for truth, found in pairs)
    classes = _per_class(pairs)
    return {
        "accuracy": accuracy,
        "interval_95": wilson(accuracy, tickets),
        "macro_f1": fmean(classes[name]["f1"] for name in {truth for truth, _ in pairs}),
        "per_class": classes,
        "confusion": _confusion(pairs),
    }


def wilson(share: float, n: int) -> list[float]:
    """The 95 % score interval of a share observed in `n` trials (Wilson 1927).

    A ticket that is attributed in several rounds is one trial: its outcomes are not independent.
    """
    z = 1.96
    middle = share + z * z / (2 * n)
    spread = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return [max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))]


def _per_class(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, float]]:
    hits = Counter(truth for truth, found in pairs if truth == found)
    truths, founds = Counter(truth for truth, _ in pairs), Counter(found for _, found in pairs)
    return {
        name: {
            "precision": hits[name] / founds[name] if founds[name] else 0.0,
            "recall": hits[name] / truths[name] if truths[name] else 0.0,
            "f1": 2 * hits[name] / (truths[name] + founds[name]),
            "n": truths[name],
        }
        for name in sorted({*truths, *founds})
    }


def _confusion(pairs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Rows are the person's choice, columns the engine's."""
    matrix: dict[str, dict[str, int]] = {truth: {} for truth in sorted({truth for truth, _ in pairs})}
    for (truth, found), count in sorted(Counter(pairs).items()):
        matrix[truth][found] = count
    return matrix


def coverage(outcomes: Sequence[Outcome], budget: float) -> float:
    """The largest share of tickets, most confident first, of which no more than `budget` are wrong."""
    ranked = sorted(outcomes, key=lambda outcome: (-outcome.decision.confidence, outcome.is_right))
    best = wrong = 0
    for count, outcome in enumerate(ranked, start=1):
        wrong += not outcome.is_right
        if wrong <= budget * count:
            best = count
    return best / len(ranked)


def calibration_error(outcomes: Sequence[Outcome]) -> float:
    """The expected calibration error in ten equal bins: how far confidence is from accuracy, on average."""
    bins: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        bins[min(_BINS - 1, int(outcome.decision.confidence * _BINS))].append(outcome)
    gaps = (
        len(members) * abs(fmean(o.is_right for o in members) - fmean(o.decision.confidence for o in members))
        for members in bins.values()
    )
    return sum(gaps) / len(outcomes)


def agreement(outcomes: Sequence[Outcome]) -> float | None:
    """The share of answers that the local engine would have given too; None where it was not asked."""
    asked = [outcome.proposal for outcome in outcomes if outcome.proposal.second_opinion is not None]
    return fmean(proposal.second_opinion == proposal.label for proposal in asked) if asked else None
