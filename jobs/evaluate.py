"""How good an engine is on labelled tickets: python -m jobs evaluate."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

from jobs import pull
from jobs.decide import Decision, decide
from jobs.engines import Engine, Proposal, TicketText
from jobs.pull import PullError
from receiver.catalog import Catalog, RequestType

ERROR_BUDGET = 0.05
LEARNING_ROUNDS = 10
_BINS = 10

Label = tuple[str, str]


@dataclass(frozen=True)
class Labelled:
    """A ticket and the entry that a person chose for it."""

    text: TicketText
    label: Label


@dataclass(frozen=True)
class Outcome:
    """What became of one labelled ticket."""

    truth: Label
    decision: Decision
    proposal: Proposal
    latency_ms: float

    @property
    def found(self) -> Label:
        """The entry it was attributed to."""
        return self.decision.request_type.category, self.decision.request_type.name

    @property
    def is_right(self) -> bool:
        """Whether that is the person's choice."""
        return self.found == self.truth


def load(path: Path, catalog: Catalog) -> list[Labelled]:
    """The labelled tickets of a .jsonl file. Raises PullError, which names the line of a label not in the catalog."""
    labelled = []
    for number, item in enumerate(pull.from_file(path).items, start=1):
        label = (str(item.get("category")), str(item.get("request_type")))
        if catalog.find(*label) is None:
            raise PullError(f"{path.name}, ticket {number}: its category and request_type are not in the catalog")
        text = TicketText(str(item.get("short_description") or ""), str(item.get("long_description") or ""))
        labelled.append(Labelled(text, label))
    if not labelled:
        raise PullError(f"{path.name} holds no tickets")
    return labelled


def run(engine: Engine, catalog: Catalog, tickets: Sequence[Labelled]) -> list[Outcome]:
    """Attribute every ticket as a job would, review threshold aside."""

    def attribute(ticket: Labelled) -> Outcome:
        started = time.perf_counter()
        proposal = engine.propose(ticket.text)
        latency = (time.perf_counter() - started) * 1000
        return Outcome(ticket.label, decide(proposal, catalog, threshold=0), proposal, latency)

    with ThreadPoolExecutor(engine.parallel) as pool:
        return list(pool.map(attribute, tickets))


def run_learning(
    make: Callable[[Catalog], Engine], catalog: Catalog, tickets: Sequence[Labelled], count: int
) -> list[Outcome]:
    """Give the engine `count` tickets of every request type as examples and attribute the others; ten random draws."""
    outcomes = []
    for seed in range(LEARNING_ROUNDS):
        shuffled = random.Random(seed).sample(tickets, len(tickets))  # noqa: S311 - repeatable, not secret.
        taught: dict[Label, list[Labelled]] = defaultdict(list)
        rest: list[Labelled] = []
        for ticket in shuffled:
            kept = taught[ticket.label]
            (kept if len(kept) < count else rest).append(ticket)
        informed = replace(catalog, request_types=tuple(_taught(kind, taught) for kind in catalog.request_types))
        outcomes += run(make(informed), informed, rest)
    if not outcomes:
        raise PullError(f"no request type has more than {count} tickets, so none is left to test with")
    return outcomes


def _taught(kind: RequestType, taught: dict[Label, list[Labelled]]) -> RequestType:
    texts = (f"{one.text.short_description}. {one.text.long_description}" for one in taught[kind.category, kind.name])
    return replace(kind, examples=(*kind.examples, *texts))


def measure(outcomes: Sequence[Outcome], engine: Engine) -> dict[str, Any]:
    """The figures; shares are between 0 and 1, `latency_ms` is per ticket."""
    latencies = [outcome.latency_ms for outcome in outcomes]
    cuts = quantiles(latencies, n=20, method="inclusive") if len(latencies) > 1 else latencies * 19
    categories = [(outcome.truth[0], outcome.found[0]) for outcome in outcomes]
    types = [(" / ".join(outcome.truth), " / ".join(outcome.found)) for outcome in outcomes]
    return {
        "n": len(outcomes),
        "engine": engine.name,
        "model": engine.model,
        "category": _scores(categories),
        "request_type": _scores(types) | {"top_3_accuracy": fmean(map(_in_top_3, outcomes))},
        "per_request_type": _per_class(types),
        "confusion": _confusion(categories),
        "coverage_at_5_percent_error": coverage(outcomes, ERROR_BUDGET),
        "ece": calibration_error(outcomes),
        "latency_ms": {"p50": round(cuts[9], 1), "p95": round(cuts[18], 1)},
        "tokens_per_1000": {
            "prompt": round(1000 * fmean(outcome.proposal.prompt_tokens for outcome in outcomes)),
            "completion": round(1000 * fmean(outcome.proposal.completion_tokens for outcome in outcomes)),
        },
    }


def _scores(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    accuracy = fmean(truth == found for truth, found in pairs)
    present = {truth for truth, _ in pairs}
    f1 = fmean(score["f1"] for name, score in _per_class(pairs).items() if name in present)
    return {"accuracy": accuracy, "interval_95": wilson(accuracy, len(pairs)), "macro_f1": f1}


def wilson(share: float, n: int) -> list[float]:
    """The 95 % score interval of a share observed in `n` trials (Wilson 1927)."""
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


def _in_top_3(outcome: Outcome) -> bool:
    return outcome.is_right or outcome.truth[1] in outcome.proposal.alternatives[:2]


def coverage(outcomes: Sequence[Outcome], budget: float) -> float:
    """The largest share of tickets, most confident first, of which no more than `budget` are wrong."""
    ranked = sorted(outcomes, key=lambda outcome: -outcome.decision.confidence)
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


def describe(figures: dict[str, Any]) -> str:
    """The figures as text for a terminal."""
    lines = [f"{figures['n']} tickets, engine {figures['engine']} ({figures['model']})", ""]
    for what in ("category", "request_type"):
        scores = figures[what]
        low, high = scores["interval_95"]
        name = what.replace("_", " ")
        lines.append(
            f"{name:<14}accuracy {scores['accuracy']:.3f} ({low:.3f} to {high:.3f}), macro-F1 {scores['macro_f1']:.3f}"
        )
    lines += [
        f"top 3         {figures['request_type']['top_3_accuracy']:.3f}",
        f"coverage      {figures['coverage_at_5_percent_error']:.3f} of the tickets at 5 % error",
        f"calibration   {figures['ece']:.3f} expected error of the confidence",
        f"latency       p50 {figures['latency_ms']['p50']} ms, p95 {figures['latency_ms']['p95']} ms",
        f"tokens/1000   {figures['tokens_per_1000']['prompt']} in, {figures['tokens_per_1000']['completion']} out",
        "",
        f"{'precision':>9} {'recall':>7} {'n':>4}  request type",
    ]
    for name, score in figures["per_request_type"].items():
        lines.append(f"{score['precision']:>9.2f} {score['recall']:>7.2f} {score['n']:>4}  {name}")
    lines += ["", "category, chosen by a person -> by the engine"]
    for truth, row in figures["confusion"].items():
        lines.append(f"  {truth} -> " + ", ".join(f"{found} {count}" for found, count in row.items()))
    return "\n".join(lines)
