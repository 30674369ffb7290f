"""Quality: how often engines were right, by what people reviewed: over time, by entry, by confidence and by version."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from math import ceil, sqrt
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
    days = request.args.get("days", 30, type=int)
    days = days if days in WINDOWS else 30
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
    first = datetime(since.year, since.month, since.day, tzinfo=UTC)
    return {
        "x": [int((first + timedelta(days=place * step)).timestamp()) for place in places],
        "right": [share and share["share"] for share in shares],
        "low": [share and share["low"] for share in shares],
        "high": [share and share["high"] for share in shares],
        "counts": [counts[place] for place in places],
    }


def _share(right: int, count: int) -> dict[str, float] | None:
    """A share with its 95 % interval; None where there is nothing to count."""
    # Wilson's interval stays within 0 and 1, also for the few reviews that a new installation has.
    if not count:
        return None
    low, high = accuracy.wilson(right / count, count)
    return {"share": right / count, "low": low, "high": high, "count": count}


def _share_right(rows: Iterable[Confusion | Sureness]) -> dict[str, float] | None:
    """The share of these answers that were right."""
    right: Counter[bool] = Counter()
    for row in rows:
        right[row.is_right] += row.answers
    return _share(right[True], right.total())


def _figures(confusions: Sequence[Confusion], sureness: Sequence[Sureness], category: str | None) -> dict[str, object]:
    """Everything of the page that needs reviews; `category` is the one whose request types are looked at."""
    scored = [(row.confidence, row.is_right) for row in sureness for _ in range(row.answers)]
    bins = accuracy.reliability(scored)
    names = {row.chosen_category for row in confusions} | {row.found_category for row in confusions}
    category = category if category in names else None  # It comes from the URL.
    dots = []
    for one in bins:
        low, high = accuracy.wilson(one.accuracy, one.count)
        # The root, so that the area of a dot is as its count.
        size = sqrt(one.count)
        dots.append(
            {"x": one.confidence, "y": one.accuracy, "low": low, "high": high, "count": one.count, "size": size}
        )
    in_category = sum(row.answers for row in confusions if row.chosen_category == row.found_category)
    return {
        "right": _share_right(confusions),
        "right_category": _share(in_category, len(scored)),
        "flagged": _share_right(row for row in sureness if row.flagged),
        "unflagged": _share_right(row for row in sureness if not row.flagged),
        "coverage": [(budget, accuracy.coverage(scored, budget)) for budget in BUDGETS],
        "error": accuracy.calibration_error(bins),
        "bins": dots,
        "category": category,
        "matrix": _matrix(confusions, category),
        "mixed_up": _most_confused(confusions, category),
        "types": _by_request_type(confusions),
        "versions": _by_version(sureness),
    }


def _matrix(confusions: Sequence[Confusion], category: str | None) -> list[dict[str, object]]:
    """The rows of the confusion matrix: categories, or the request types of one of them.

    A row is what people chose, a cell how often the engine had answered the cell's name instead.
    """
    counts: Counter[Pair] = Counter()
    for row in confusions:
        chosen, found = row.chosen_category, row.found_category
        if category is None:
            counts[chosen, found] += row.answers
        elif category in (chosen, found):
            # Request types of other categories would make the matrix as wide as the catalog.
            inside = row.chosen_type if chosen == category else _ELSEWHERE
            answered = row.found_type if found == category else _ELSEWHERE
            counts[inside, answered] += row.answers
    names = sorted({name for pair in counts for name in pair}, key=lambda name: (name == _ELSEWHERE, name))
    rows: list[dict[str, object]] = []
    for name in names:
        total = sum(counts[name, other] for other in names)
        cells = [
            {
                "name": other,
                "count": counts[name, other],
                "same": other == name,
                # From 0 for none to 5 for all. The root draws small shares apart, which are most of them.
                "shade": ceil(_SHADES * sqrt(counts[name, other] / total)) if counts[name, other] else 0,
            }
            for other in names
        ]
        rows.append({"name": name, "total": total, "cells": cells})
    return rows


def _most_confused(confusions: Iterable[Confusion], category: str | None) -> list[tuple[str, str, int]]:
    """What people chose, what the engine had said, and how often; the most frequent first."""
    wrong: Counter[Pair] = Counter()
    for row in confusions:
        if not row.is_right and category in (None, row.chosen_category, row.found_category):
            wrong[row.chosen_type, row.found_type] += row.answers
    return [(chosen, found, count) for (chosen, found), count in wrong.most_common(_MIXED_UP)]


def _by_request_type(confusions: Iterable[Confusion]) -> list[dict[str, object]]:
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


def _by_version(sureness: Iterable[Sureness]) -> list[dict[str, object]]:
    """The share that was right by model, by prompt and by catalog, to compare and to choose by a link."""
    groups: dict[str, dict[tuple[str, str | None], list[Sureness]]] = {name: {} for _, name, _ in _KINDS}
    for row in sureness:
        for _, name, key in _KINDS:
            groups[name].setdefault(key(row), []).append(row)
    tables: list[dict[str, object]] = []
    for title, name, _ in _KINDS:
        lines: list[dict[str, object]] = []
        for (label, value), rows in groups[name].items():
            sure = sum(row.confidence * row.answers for row in rows) / sum(row.answers for row in rows)
            lines.append({"label": label, "value": value, "right": _share_right(rows), "sure": sure})
        tables.append({"title": title, "name": name, "rows": lines})
    return tables
