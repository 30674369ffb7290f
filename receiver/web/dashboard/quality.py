"""Quality: how often engines were right, by what people reviewed: over time, by entry, by confidence and by version."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from typing import Any

from flask import Blueprint, render_template, request

from receiver.db import review_outcomes
from receiver.db.review_outcomes import Confusion, Day, Scope, Sureness
from receiver.lib import accuracy
from receiver.lib.accuracy import Pair
from receiver.lib.clock import now
from receiver.web.dashboard import query_args
from receiver.web.state import context

blueprint = Blueprint("quality_pages", __name__)

WINDOWS = {7: 1, 30: 3, 90: 7}
"""The windows in days, and how many days one point of their chart stands for."""

BUDGETS = (0.02, 0.05, 0.1)
_FILTERS = ("source", "model", "prompt_version", "catalog_version")
_MIXED_UP, _ELSEWHERE = 8, "elsewhere"
_SHADES = 5


@blueprint.get("/quality")
def quality_page() -> str:
    """The figures of a window, and of one source or version where the URL names it."""
    days = _days()
    chosen = query_args.texts(*_FILTERS)
    since = now().date() - timedelta(days=days - 1)
    with context().db.read() as session:
        scope = Scope(since, **chosen)
        confusions, sureness = review_outcomes.confusions(session, scope), review_outcomes.sureness(session, scope)
        by_day = review_outcomes.by_day(session, scope)
    category = query_args.text("category") or None
    return render_template(
        "quality.html",
        days=days,
        windows=list(WINDOWS),
        chosen=chosen,
        here={"days": days, "category": category, **chosen},
        sources=sorted({*context().sources, *filter(None, [chosen.get("source")])}),
        reviews=sum(day.judged for day in by_day),
        limit=review_outcomes.NEWEST,
        trend=trend(by_day, since, WINDOWS[days]),
        found=_figures(confusions, sureness, category) if confusions else None,
        threshold=context().settings.review_threshold,
    )


def _days() -> int:
    days = request.args.get("days", 30, type=int)
    return days if days in WINDOWS else 30


def trend(by_day: Iterable[Day], since: date, step: int) -> dict[str, Any]:
    """The share that was right in every `step` days from `since` on, with its interval; steps without reviews say None.

    A point stands at the first day of its step.
    """
    counts: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for row in by_day:
        place = (date.fromisoformat(row.day) - since).days // step
        counts[place] += row.judged
        right[place] += row.right
    places = range(min(counts, default=0), max(counts, default=-1) + 1)
    shares = [_share(right[place], counts[place]) for place in places]
    return {
        "x": [_seconds(since + timedelta(days=place * step)) for place in places],
        "right": [share and share["share"] for share in shares],
        "low": [share and share["low"] for share in shares],
        "high": [share and share["high"] for share in shares],
        "counts": [counts[place] for place in places],
    }


def _seconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _share(right: int, count: int) -> dict[str, float] | None:
    """A share with its 95 % interval; None of nothing."""
    if not count:
        return None
    low, high = accuracy.wilson(right / count, count)
    return {"share": right / count, "low": low, "high": high, "count": count}


def _share_of(rows: Iterable[Confusion | Sureness]) -> dict[str, float] | None:
    right: Counter[bool] = Counter()
    for row in rows:
        right[row.is_right] += row.answers
    return _share(right[True], right.total())


def _figures(confusions: Sequence[Confusion], sureness: Sequence[Sureness], category: str | None) -> dict[str, object]:
    scored = [(row.confidence, row.is_right) for row in sureness for _ in range(row.answers)]
    bins = accuracy.reliability(scored)
    names = {row.chosen_category for row in confusions} | {row.found_category for row in confusions}
    category = category if category in names else None
    in_category = sum(row.answers for row in confusions if row.chosen_category == row.found_category)
    return {
        "right": _share_of(confusions),
        "right_category": _share(in_category, len(scored)),
        "flagged": _share_of(row for row in sureness if row.flagged),
        "unflagged": _share_of(row for row in sureness if not row.flagged),
        "coverage": [(budget, accuracy.coverage(scored, budget)) for budget in BUDGETS],
        "error": accuracy.calibration_error(bins),
        "bins": [_dot(one) for one in bins],
        "category": category,
        "matrix": _matrix(confusions, category),
        "mixed_up": _mixed_up(confusions, category),
        "types": _types(confusions),
        "versions": _versions(sureness),
    }


def _dot(one: accuracy.Bin) -> dict[str, float]:
    low, high = accuracy.wilson(one.accuracy, one.count)
    return {
        "x": one.confidence,
        "y": one.accuracy,
        "low": low,
        "high": high,
        "count": one.count,
        "size": sqrt(one.count),
    }


def _matrix(confusions: Sequence[Confusion], category: str | None) -> list[dict[str, object]]:
    """The rows of the confusion: categories, or the request types of one, against what the engine answered instead."""
    counts: Counter[Pair] = Counter()
    for row in confusions:
        whole = (row.chosen_category, row.found_category)
        if category is None or category in whole:
            counts[_within(row, category) if category else whole] += row.answers
    names = sorted({name for pair in counts for name in pair}, key=lambda name: (name == _ELSEWHERE, name))
    return [_row(name, names, {found: n for (chosen, found), n in counts.items() if chosen == name}) for name in names]


def _within(row: Confusion, category: str) -> Pair:
    """Chosen and found request types of a category; those of other categories are elsewhere."""
    return (
        row.chosen_type if row.chosen_category == category else _ELSEWHERE,
        row.found_type if row.found_category == category else _ELSEWHERE,
    )


def _row(name: str, names: Sequence[str], counts: dict[str, int]) -> dict[str, object]:
    total = sum(counts.values())
    cells = [(other, counts.get(other, 0)) for other in names]
    return {
        "name": name,
        "total": total,
        "cells": [
            {"name": other, "count": count, "same": other == name, "shade": _shade(count, total)}
            for other, count in cells
        ],
    }


def _shade(count: int, total: int) -> int:
    """From 0 for none to 5 for all, small shares drawn apart."""
    return -int(-_SHADES * sqrt(count / total) // 1) if count else 0


def _mixed_up(confusions: Iterable[Confusion], category: str | None) -> list[tuple[str, str, int]]:
    """What people chose, what the engine had said, and how often; the most frequent first."""
    wrong: Counter[Pair] = Counter()
    for row in confusions:
        if not row.is_right and category in (None, row.chosen_category, row.found_category):
            wrong[row.chosen_type, row.found_type] += row.answers
    return [(chosen, found, count) for (chosen, found), count in wrong.most_common(_MIXED_UP)]


def _types(confusions: Iterable[Confusion]) -> list[dict[str, object]]:
    """Every request type that was chosen or answered, the most frequent first."""
    chosen, found, hits = Counter[Pair](), Counter[Pair](), Counter[Pair]()
    for row in confusions:
        chosen[row.chosen_category, row.chosen_type] += row.answers
        found[row.found_category, row.found_type] += row.answers
        hits[row.chosen_category, row.chosen_type] += row.answers if row.is_right else 0
    return [
        {
            "category": entry[0],
            "name": entry[1],
            "count": chosen[entry],
            "recall": _share(hits[entry], chosen[entry]),
            "precision": _share(hits[entry], found[entry]),
        }
        for entry in sorted({*chosen, *found}, key=lambda entry: (-chosen[entry], entry))
    ]


_KINDS: tuple[tuple[str, str, Callable[[Sureness], tuple[str, str | None]]], ...] = (
    ("Engine and model", "model", lambda row: (f"{row.engine}: {row.model}", row.model)),
    ("Prompt", "prompt_version", lambda row: (row.prompt_version or "none (local engine)", row.prompt_version)),
    ("Catalog", "catalog_version", lambda row: (row.catalog_version, row.catalog_version)),
)


def _versions(sureness: Iterable[Sureness]) -> list[dict[str, object]]:
    """The same by engine and model, by prompt and by catalog: what one can compare, and choose by a link."""
    groups: dict[str, dict[tuple[str, str | None], list[Sureness]]] = {name: {} for _, name, _ in _KINDS}
    for row in sureness:
        for _, name, key in _KINDS:
            groups[name].setdefault(key(row), []).append(row)
    return [
        {"title": title, "name": name, "rows": [_version(*version, rows) for version, rows in groups[name].items()]}
        for title, name, _ in _KINDS
    ]


def _version(label: str, value: str | None, rows: Sequence[Sureness]) -> dict[str, object]:
    sure = sum(row.confidence * row.answers for row in rows) / sum(row.answers for row in rows)
    return {"label": label, "value": value, "right": _share_of(rows), "sure": sure}
