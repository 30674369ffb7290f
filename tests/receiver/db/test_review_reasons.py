"""Reasons for a review: codes in the rows, and the sentences of 0.1.0 for whoever reads."""

import pytest
from sqlalchemy import select, text

from receiver.db import review_reasons
from receiver.db.database import Database, migrate
from receiver.db.models import Classification
from receiver.db.review_reasons import ReviewReason
from tests.factories import classification

OLD = {
    "confidence is below the threshold": "low_confidence",
    "the local engine says Wi-Fi: {slow} instead, and the model is not sure": "disagreement",
    "the ticket's text seems to tell the engine what to answer": "steering",
    "the engine's answer is not in the catalog": "out_of_catalog",
    "the local engine stood in: the model did not answer within 30 seconds": "fallback_engine",
    "the engine had a bad day": "other",
}


def test_every_code_has_a_sentence() -> None:
    detail = {"request_type": "VPN", "error": "it is away", "text": "no code"}
    for reason in ReviewReason:
        row = classification(1, review_reason=reason, review_detail=detail)
        assert review_reasons.sentence(row)
    assert review_reasons.sentence(classification(1)) is None


def test_the_sentences_of_old_become_codes_that_say_the_same(empty: Database) -> None:
    migrate(empty, "0027")
    with empty.write() as session:
        session.execute(
            text(
                "INSERT INTO deliveries (id, source, key, received_at, status, headers, body_sha256, accepted, updated,"
                " duplicates, rejected, conflict)"
                " VALUES (1, 's', 'k', '2026-01-01', 'accepted', '{}', '', 1, 0, 0, '[]', FALSE)"
            )
        )
        session.execute(
            text(
                "INSERT INTO tickets (id, source, external_id, delivery_id, short_description, long_description,"
                " received_at, status, claimable_at, attempts, crashes)"
                " VALUES (1, 's', 'A', 1, '', '', '2026-01-01', 'needs_review', '2026-01-01', 0, 0)"
            )
        )
        insert = text(
            "INSERT INTO classifications (ticket_id, current, created_at, category, request_type, sla_value, sla_unit,"
            " sla_is_default, confidence, reasoning, alternatives, review_reason, engine, model, fallback,"
            " fuzzy_matched, catalog_version, prompt_tokens, completion_tokens, latency_ms) VALUES"
            " (1, FALSE, '2026-01-01', 'a', 'b', 1, 'days', FALSE, 0, '', '[]', :reason, 'llm', '', FALSE, FALSE, '',"
            " 0, 0, 0)"
        )
        session.execute(insert, [{"reason": reason} for reason in [*OLD, None]])
    migrate(empty)
    with empty.read() as session:
        rows = session.scalars(select(Classification).order_by(Classification.id)).all()
        assert [row.review_reason for row in rows] == [*OLD.values(), None]
        assert [review_reasons.sentence(row) for row in rows] == [*OLD, None]


@pytest.mark.parametrize("reason", [ReviewReason.OTHER, ReviewReason.FALLBACK_ENGINE])
def test_what_a_detail_holds_is_no_template(reason: ReviewReason) -> None:
    hostile = {"text": "{error} {0} %s", "error": "{error} {0} %s"}
    said = review_reasons.sentence(classification(1, review_reason=reason, review_detail=hostile))
    assert said is not None
    assert said.endswith("{error} {0} %s")
