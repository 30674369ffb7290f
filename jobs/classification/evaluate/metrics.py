"""Outcomes of labelled tickets to figures. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Any

from jobs.classification.decide import Decision
from jobs.classification.engines.base import Engine, Proposal, TicketText
from receiver.lib import accuracy


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


def measure(outcomes: Sequence[Outcome], engine: Engine, threshold: float, unanswered: int = 0) -> dict[str, Any]:
    """The figures: shares between 0 and 1, `latency_ms` a ticket, costs in the price table's currency.

    They are of the outcomes, at least one; `unanswered` is how many attributions came to none. Below the `threshold` a
    person would look at them.
    """
    latencies = [outcome.latency_ms for outcome in outcomes]
    cuts = quantiles(latencies, n=20, method="inclusive") if len(latencies) > 1 else latencies * 19
    tickets = len({outcome.ticket.number for outcome in outcomes})
    scored = _scored(outcomes)
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
        **_coverage(scored),
        "automatic": _automatic(outcomes, threshold),
        "ece": accuracy.calibration_error(accuracy.reliability(scored)),
        "ece_by_chance": accuracy.chance_error(scored),
        "agreement": agreement(outcomes),
        "latency_ms": {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)},
        "tokens_per_1000": {
            "prompt": round(1000 * fmean(outcome.proposal.prompt_tokens for outcome in outcomes)),
            "completion": round(1000 * fmean(outcome.proposal.completion_tokens for outcome in outcomes)),
        },
        "cost_per_1000": round(fmean(outcome.proposal.cost_micros for outcome in outcomes) / 1000, 6),
    }


def _coverage(scored: Sequence[accuracy.Scored]) -> dict[str, float | None]:
    found = {percent: accuracy.coverage(scored, percent / 100) for percent in (2, 5)}
    shares = {f"coverage_at_{percent}_percent_error": coverage.share for percent, coverage in found.items()}
    return shares | {f"confidence_at_{percent}_percent_error": coverage.least for percent, coverage in found.items()}


def _automatic(outcomes: Sequence[Outcome], threshold: float) -> dict[str, float | None]:
    """What would go through unseen under the threshold, and how much of that would be wrong."""
    through = [
        outcome
        for outcome in outcomes
        if outcome.decision.confidence >= threshold and outcome.decision.review_reason is None
    ]
    error = fmean(not outcome.is_right for outcome in through) if through else None
    return {"threshold": threshold, "share": len(through) / len(outcomes), "error": error}


def _scores(pairs: Sequence[tuple[str, str]], tickets: int) -> dict[str, Any]:
    right = fmean(truth == found for truth, found in pairs)
    classes = accuracy.per_class(pairs)
    return {
        "accuracy": right,
        # A ticket that is attributed in several rounds is one trial: its outcomes are not independent.
        "interval_95": accuracy.wilson(right, tickets),
        "macro_f1": fmean(classes[name]["f1"] for name in {truth for truth, _ in pairs}),
        "per_class": classes,
        "confusion": accuracy.confusion(pairs),
    }


def _scored(outcomes: Sequence[Outcome]) -> list[accuracy.Scored]:
    return [(outcome.decision.confidence, outcome.is_right) for outcome in outcomes]


def agreement(outcomes: Sequence[Outcome]) -> float | None:
    """The share of answers that the local engine would have given too; None where it was not asked."""
    asked = [outcome.proposal for outcome in outcomes if outcome.proposal.second_opinion is not None]
    return fmean(proposal.second_opinion == proposal.label for proposal in asked) if asked else None
