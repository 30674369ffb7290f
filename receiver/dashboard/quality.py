"""Quality: how often engines were right, by what people reviewed: over time, by entry, by confidence and by version."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from math import sqrt
from statistics import fmean
from typing import Any

from flask import Blueprint, current_app, render_template, request

from receiver import figures
from receiver.clock import now
from receiver.figures import Pair
from receiver.record import verdicts
from receiver.record.verdicts import Day, Judged, Scope

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
    chosen = {name: request.args[name] for name in _FILTERS if request.args.get(name)}
    since = now().date() - timedelta(days=days - 1)
    with current_app.extensions["record"].read() as session:
        scope = Scope(since, **chosen)
        judged, by_day = verdicts.newest(session, scope), verdicts.by_day(session, scope)
    category = request.args.get("category")
    return render_template(
        "quality.html",
        days=days,
        windows=list(WINDOWS),
        chosen=chosen,
        here={"days": days, "category": category, **chosen},
        sources=sorted({*current_app.extensions["sources"], *filter(None, [chosen.get("source")])}),
        reviews=sum(day.judged for day in by_day),
        limit=verdicts.NEWEST,
        trend=trend(by_day, since, WINDOWS[days]),
        found=_figures(judged, category) if judged else None,
        threshold=current_app.extensions["settings"].review_threshold,
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
    low, high = figures.wilson(right / count, count)
    return {"share": right / count, "low": low, "high": high, "count": count}


def _share_of(judged: Sequence[Judged]) -> dict[str, float] | None:
    return _share(sum(one.is_right for one in judged), len(judged))


def _figures(judged: Sequence[Judged], category: str | None) -> dict[str, Any]:
    scored = [(one.confidence, one.is_right) for one in judged]
    bins = figures.reliability(scored)
    names = {one.chosen_category for one in judged} | {one.found_category for one in judged}
    category = category if category in names else None
    return {
        "right": _share_of(judged),
        "right_category": _share(sum(one.chosen_category == one.found_category for one in judged), len(judged)),
        "flagged": _share_of([one for one in judged if one.flagged]),
        "unflagged": _share_of([one for one in judged if not one.flagged]),
        "coverage": [(budget, figures.coverage(scored, budget)) for budget in BUDGETS],
        "error": figures.calibration_error(bins),
        "bins": [_dot(one) for one in bins],
        "category": category,
        "matrix": _matrix(judged, category),
        "mixed_up": _mixed_up(judged, category),
        "types": _types(judged),
        "versions": _versions(judged),
    }


def _dot(one: figures.Bin) -> dict[str, float]:
    low, high = figures.wilson(one.accuracy, one.count)
    return {
        "x": one.confidence,
        "y": one.accuracy,
        "low": low,
        "high": high,
        "count": one.count,
        "size": sqrt(one.count),
    }


def _matrix(judged: Sequence[Judged], category: str | None) -> list[dict[str, Any]]:
    """The rows of the confusion: categories, or the request types of one, against what the engine answered instead."""
    pairs = (
        [(one.chosen_category, one.found_category) for one in judged] if category is None else _within(judged, category)
    )
    counts = figures.confusion(pairs)
    names = sorted({name for pair in pairs for name in pair}, key=lambda name: (name == _ELSEWHERE, name))
    return [_row(name, names, counts.get(name, {})) for name in names]


def _within(judged: Sequence[Judged], category: str) -> list[Pair]:
    """Chosen and found request types of a category; those of other categories are elsewhere."""
    return [
        (
            one.chosen_type if one.chosen_category == category else _ELSEWHERE,
            one.found_type if one.found_category == category else _ELSEWHERE,
        )
        for one in judged
        if category in (one.chosen_category, one.found_category)
    ]


def _row(name: str, names: Sequence[str], counts: dict[str, int]) -> dict[str, Any]:
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


def _mixed_up(judged: Sequence[Judged], category: str | None) -> list[tuple[str, str, int]]:
    """What people chose, what the engine had said, and how often; the most frequent first."""
    wrong = Counter(
        (one.chosen_type, one.found_type)
        for one in judged
        if not one.is_right and category in (None, one.chosen_category, one.found_category)
    )
    return [(chosen, found, count) for (chosen, found), count in wrong.most_common(_MIXED_UP)]


def _types(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """Every request type that was chosen or answered, the most frequent first."""
    pairs = [((one.chosen_category, one.chosen_type), (one.found_category, one.found_type)) for one in judged]
    chosen, found = Counter(truth for truth, _ in pairs), Counter(answer for _, answer in pairs)
    hits = Counter(truth for truth, answer in pairs if truth == answer)
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


def _versions(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """The same by engine and model, by prompt and by catalog: what one can compare, and choose by a link."""
    kinds: tuple[tuple[str, str, Callable[[Judged], tuple[str, str | None]]], ...] = (
        ("Engine and model", "model", lambda one: (f"{one.engine}: {one.model}", one.model)),
        ("Prompt", "prompt_version", lambda one: (one.prompt_version or "none (local engine)", one.prompt_version)),
        ("Catalog", "catalog_version", lambda one: (one.catalog_version, one.catalog_version)),
    )
    found = []
    for title, name, key in kinds:
        groups: dict[tuple[str, str | None], list[Judged]] = {}
        for one in judged:
            groups.setdefault(key(one), []).append(one)
        rows = [
            {"label": label, "value": value, "right": _share_of(members), "sure": fmean(m.confidence for m in members)}
            for (label, value), members in groups.items()
        ]
        found.append({"title": title, "name": name, "rows": rows})
    return found
