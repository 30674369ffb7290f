"""Proposal and catalog to decision: what of an engine's answer can be stood by. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from jobs.classification.engines.base import SURE, Proposal
from receiver.catalog import Catalog, RequestType
from receiver.db.review_reasons import ReviewReason

# A mend must be nearly the same words, and clearly nearer to one entry than to any other.
_CLOSE, _MARGIN = 90, 5


@dataclass(frozen=True, slots=True)
class Decision:
    """The entry a ticket is attributed to, and why a person should look at it, if one should.

    `agreement` says whether the second opinion is the same entry; None where there is none.
    """

    request_type: RequestType
    confidence: float
    fuzzy_matched: bool = False
    fallback: bool = False
    review_reason: ReviewReason | None = None
    review_detail: dict[str, str] | None = None
    agreement: bool | None = None


def decide(proposal: Proposal, catalog: Catalog, threshold: float, stand_in_for: str | None = None) -> Decision:
    """Check a proposal against the catalog.

    A label that is no entry is mended where that is certain, else it becomes the catalog's fallback and goes to
    review. `stand_in_for` is the error of the engine that should have answered; it too marks a fallback.
    """
    found = catalog.labels.get(proposal.label)
    fuzzy_matched = found is None or proposal.fuzzy_matched
    found = found or _mend(proposal.label, catalog)
    if found is None:
        return Decision(catalog.fallback, 0.0, False, True, ReviewReason.OUT_OF_CATALOG)
    if stand_in_for:
        why = {"error": stand_in_for}
        return Decision(found, proposal.confidence, fuzzy_matched, True, ReviewReason.FALLBACK_ENGINE, why)
    second = catalog.labels.get(proposal.second_opinion or "")
    agreement = None if second is None else second == found
    reason: ReviewReason | None = None
    detail: dict[str, str] | None = None
    if proposal.steers:
        reason = ReviewReason.STEERING
    elif proposal.confidence < threshold:
        reason = ReviewReason.LOW_CONFIDENCE
    elif agreement is False and second and proposal.confidence < max(threshold, SURE):
        reason, detail = ReviewReason.DISAGREEMENT, {"request_type": second.name}
    return Decision(found, proposal.confidence, fuzzy_matched, False, reason, detail, agreement)


def _mend(label: str, catalog: Catalog) -> RequestType | None:
    """The one entry that `label` can only mean, or None."""
    plain = _plain(label)
    if not plain:
        return None
    for candidates in (_written_otherwise(plain, catalog), _with_category(plain, catalog), _category(plain, catalog)):
        if candidates:
            return candidates[0] if len(candidates) == 1 else None
    if any(_plain(kind.name) == plain for kind in catalog.request_types):
        return None  # A name of several categories; the label would say which.
    parts = _part_of(plain, catalog)
    return parts[0] if len(parts) == 1 else _similar(plain, catalog)


def _written_otherwise(plain: str, catalog: Catalog) -> list[RequestType]:
    """Entries whose label is the same but for case and punctuation."""
    return [kind for known, kind in catalog.labels.items() if _plain(known) == plain]


def _with_category(plain: str, catalog: Catalog) -> list[RequestType]:
    """Entries named together with their category, before or behind, or in the other's field."""
    return [kind for kind in catalog.request_types if plain in _pairs(kind)]


def _pairs(kind: RequestType) -> Iterator[str]:
    category, name = _plain(kind.category), _plain(kind.name)
    yield f"{category} {name}"
    yield f"{name} {category}"


def _category(plain: str, catalog: Catalog) -> list[RequestType]:
    """The entries of the category that is named alone; it can only mean one where it has only one."""
    return [kind for kind in catalog.request_types if _plain(kind.category) == plain]


def _part_of(plain: str, catalog: Catalog) -> list[RequestType]:
    """Entries of whose names these are some of the words: two at least, and half of them."""
    words = set(plain.split())
    if len(words) < 2:
        return []
    names = {kind: set(_plain(kind.name).split()) for kind in catalog.request_types}
    return [kind for kind, name in names.items() if words <= name and 2 * len(words) >= len(name)]


def _similar(plain: str, catalog: Catalog) -> RequestType | None:
    names = {known: _plain(known) for known in catalog.labels}
    ranked = process.extract(plain, names, scorer=fuzz.ratio, limit=2, score_cutoff=_CLOSE - _MARGIN)
    if not ranked or ranked[0][1] < _CLOSE or (len(ranked) > 1 and ranked[0][1] - ranked[1][1] < _MARGIN):
        return None
    return catalog.labels[ranked[0][2]]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
