"""Why a person should look at a classification: a code and its details in the row, a sentence where it is shown."""

from enum import StrEnum

from receiver.db.models import Classification


class ReviewReason(StrEnum):
    """What makes a classification uncertain."""

    LOW_CONFIDENCE = "low_confidence"
    DISAGREEMENT = "disagreement"  # Its detail names the `request_type` that the local engine says.
    STEERING = "steering"
    OUT_OF_CATALOG = "out_of_catalog"
    FALLBACK_ENGINE = "fallback_engine"  # Its detail holds the `error` of the engine that should have answered.
    OTHER = "other"  # A sentence of an earlier release that no code stands for; its detail holds the `text`.


_SENTENCES = {
    ReviewReason.LOW_CONFIDENCE: "confidence is below the threshold",
    ReviewReason.DISAGREEMENT: "the local engine says {request_type} instead, and the model is not sure",
    ReviewReason.STEERING: "the ticket's text seems to tell the engine what to answer",
    ReviewReason.OUT_OF_CATALOG: "the engine's answer is not in the catalog",
    ReviewReason.FALLBACK_ENGINE: "the local engine stood in: {error}",
    ReviewReason.OTHER: "{text}",
}


def sentence(classification: Classification) -> str | None:
    """Why a person should look at it, in words; None where nobody need."""
    if classification.review_reason is None:
        return None
    written = _SENTENCES[ReviewReason(classification.review_reason)]
    return written.format_map(classification.review_detail or {})
