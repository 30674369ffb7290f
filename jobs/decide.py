"""Proposal and catalog to decision: what of an engine's answer can be stood by. Pure."""

import re
from dataclasses import dataclass

from rapidfuzz import fuzz, process

from jobs.engines import Proposal
from receiver.catalog import Catalog, RequestType

# A mend must be nearly the same words, and clearly nearer to one entry than to any other.
_CLOSE, _MARGIN = 90, 5


@dataclass(frozen=True, slots=True)
class Decision:
    """The entry a ticket is attributed to, and why a person should look at it, if one should."""

    request_type: RequestType
    confidence: float
    mended: bool = False
    fallback: bool = False
    review_reason: str | None = None


def decide(proposal: Proposal, catalog: Catalog, threshold: float, stand_in_for: str | None = None) -> Decision:
    """Check a proposal against the catalog.

    A label that is no entry is mended where that is certain, else it becomes the catalog's fallback and goes to
    review. `stand_in_for` is the error of the engine that should have answered; it too marks a fallback.
    """
    found = catalog.labels.get(proposal.label)
    mended = found is None
    found = found or _mend(proposal.label, catalog)
    if found is None:
        return Decision(catalog.fallback, 0.0, False, True, "the engine's answer is not in the catalog")
    if stand_in_for:
        return Decision(found, proposal.confidence, mended, True, f"the local engine stood in: {stand_in_for}")
    if proposal.confidence < threshold:
        return Decision(found, proposal.confidence, mended, False, "confidence is below the threshold")
    return Decision(found, proposal.confidence, mended)


def _mend(label: str, catalog: Catalog) -> RequestType | None:
    """The one entry that `label` can only mean, or None."""
    plain = _plain(label)
    if not plain:
        return None
    same = [kind for known, kind in catalog.labels.items() if _plain(known) == plain]
    if same:
        return same[0] if len(same) == 1 else None
    if any(_plain(kind.name) == plain for kind in catalog.request_types):
        return None  # A name of several categories; the label would say which.
    names = {known: _plain(known) for known in catalog.labels}
    ranked = process.extract(plain, names, scorer=fuzz.ratio, limit=2, score_cutoff=_CLOSE - _MARGIN)
    if not ranked or ranked[0][1] < _CLOSE or (len(ranked) > 1 and ranked[0][1] - ranked[1][1] < _MARGIN):
        return None
    return catalog.labels[ranked[0][2]]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
