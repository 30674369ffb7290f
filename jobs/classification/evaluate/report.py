"""The figures as text for a terminal."""

from collections.abc import Iterator
from typing import Any


def describe(figures: dict[str, Any]) -> str:
    """A summary, then a table of classes and one of confusions, for categories and for request types."""
    lines = [f"{figures['n']} attributions of {figures['tickets']} tickets, engine {figures['engine']}"]
    lines[0] += f" ({figures['model']})"
    if figures["unanswered"]:
        lines[0] += f"; {figures['unanswered']} more were not answered and count nowhere"
    lines += ["", *_summary(figures)]
    for key in ("category", "request_type"):
        lines += ["", *_classes(key.replace("_", " "), figures[key]["per_class"])]
        lines += ["", *_confusions(key.replace("_", " "), figures[key]["confusion"])]
    return "\n".join(lines)


def _summary(figures: dict[str, Any]) -> Iterator[str]:
    for key in ("category", "request_type"):
        low, high = figures[key]["interval_95"]
        yield (
            f"{key.replace('_', ' '):<14}{figures[key]['accuracy']:.3f} right (95 % interval {low:.3f} to {high:.3f}), "
            f"macro-F1 {figures[key]['macro_f1']:.3f}"
        )
    yield f"{'top 3':<14}{figures['request_type']['top_3_accuracy']:.3f} have the right request type among three"
    for percent in (2, 5):
        share, least = (
            figures[f"coverage_at_{percent}_percent_error"],
            figures[f"confidence_at_{percent}_percent_error"],
        )
        those = "" if least is None else f": those with a confidence of {least:.2f} and more"
        yield f"{'coverage':<14}{share:.3f} of the tickets at {percent} % error{those}"
    through = figures["automatic"]
    wrong = "" if through["error"] is None else f", and {through['error']:.3f} of those would be wrong"
    yield (
        f"{'automatic':<14}{through['share']:.3f} of the tickets at REVIEW_THRESHOLD {through['threshold']:g}{wrong}"
    )
    yield (
        f"{'calibration':<14}{figures['ece']:.3f} expected error of the confidence; "
        f"{figures['ece_by_chance']:.3f} of it would be chance, with so few"
    )
    if figures["agreement"] is not None:
        yield f"{'agreement':<14}{figures['agreement']:.3f} are what the local engine says too"
    latency, tokens, cost = figures["latency_ms"], figures["tokens_per_1000"], figures["cost_per_1000"]
    yield f"{'latency':<14}p50 {latency['p50']} ms, p95 {latency['p95']} ms"
    yield f"{'1,000 tickets':<14}{tokens['prompt']} tokens in, {tokens['completion']} out; they cost {cost:.4f}"


def _classes(what: str, classes: dict[str, dict[str, float]]) -> Iterator[str]:
    yield f"{'precision':>9} {'recall':>7} {'F1':>5} {'n':>5}  {what}"
    for name, score in classes.items():
        yield f"{score['precision']:>9.2f} {score['recall']:>7.2f} {score['f1']:>5.2f} {score['n']:>5}  {name}"


def _confusions(what: str, matrix: dict[str, dict[str, int]]) -> Iterator[str]:
    yield f"{what}: what a person chose <- what the engine said instead, and how often"
    for truth, row in matrix.items():
        others = [
            f"{found} {count}" for found, count in sorted(row.items(), key=lambda cell: -cell[1]) if found != truth
        ]
        if others:
            yield f"  {truth} <- {', '.join(others)}"
