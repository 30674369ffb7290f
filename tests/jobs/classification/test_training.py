"""Training: when there is enough to learn from, who wins, and what is kept of it."""

import logging
import random

import numpy as np
import pytest

from jobs.classification import learning, training
from jobs.classification.engines.base import Example, TicketText
from jobs.classification.engines.linear import Linear
from jobs.classification.training import Trial
from receiver.actions.review import decide
from receiver.catalog import parse
from receiver.db import catalogs, examples, linear_models
from receiver.db.database import Database
from receiver.db.models import LinearModel, Ticket
from receiver.lib.clock import now
from tests.factories import deliver, due_ticket, incoming, review

CATALOG = parse("categories: [{name: Made up, requests: [{name: Zorv}, {name: Plim}, {name: Kast}, {name: Other}]}]")
# Only who has read many of them can tell these from the words around them.
SIGNALS = {"Zorv": "ulmat", "Plim": "ekrin", "Kast": "obdel"}
SYLLABLES = ("ba", "do", "fu", "gi", "ke", "la", "mo", "nu", "pi", "ra", "so", "tu")


def made_up(count: int) -> list[tuple[str, str]]:
    """Texts of invented words with the request type that one word of each betrays."""
    chance = random.Random(1)
    found = []
    for number in range(count):
        kind = list(SIGNALS)[number % 3]
        words = ["".join(chance.choices(SYLLABLES, k=3)) for _ in range(12)]
        words.insert(chance.randrange(12), SIGNALS[kind])
        found.append((" ".join(words), kind))
    return found


def _examples(count: int) -> list[Example]:
    return [Example(n, TicketText(text, ""), "Made up", kind) for n, (text, kind) in enumerate(made_up(count), start=1)]


def _record_reviews(db: Database, count: int) -> None:
    texts = made_up(count)
    deliver(db, *(incoming(short_description=text) for text, _ in texts))
    with db.write() as session:
        catalogs.remember(session, CATALOG.version, CATALOG.text, now())
        rows = session.query(Ticket.id, Ticket.short_description).all()
        for ticket_id, text in rows:
            decide(session, ticket_id, ("Made up", dict(texts)[text]), CATALOG, "Ada", now())


@pytest.mark.full
def test_a_model_that_wins_is_in_force_and_the_next_job_has_nothing_to_do(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    _record_reviews(db, 300)
    with caplog.at_level(logging.INFO):
        made = training.train_on(db, CATALOG)
    assert made is not None
    assert made.in_force
    assert made.accuracy > 0.9 > made.rival_accuracy
    assert (made.examples, made.known_count) == (300, 300)
    assert "it is in force" in caplog.text
    assert training.train_on(db, CATALOG) is None
    with db.read() as session:
        kept = linear_models.weights(session, made.id)
    assert kept is not None
    found = Linear.from_bytes(kept).probabilities("nonsense and ekrin")
    assert found["Made up", "Plim"] > 0.5


def test_what_nobody_can_tell_apart_is_won_by_nobody() -> None:
    found = _examples(60)
    shuffled = [Example(one.id, other.text, one.category, one.request_type) for one, other in _mixed(found)]
    trial = training.compare(shuffled, CATALOG)
    assert len(trial.outcomes) == 60
    assert not trial.is_won


def _mixed(found: list[Example]) -> list[tuple[Example, Example]]:
    return list(zip(found, random.Random(2).sample(found, len(found)), strict=True))


@pytest.mark.parametrize(
    ("better", "worse", "wins"),
    [(0, 0, False), (3, 0, False), (4, 0, True), (30, 20, False), (30, 15, True), (15, 30, False), (520, 480, False)],
)
def test_a_trial_is_won_beyond_chance_or_not_at_all(better: int, worse: int, *, wins: bool) -> None:
    same = [(True, True)] * 200 + [(False, False)] * 50
    trial = Trial([*same, *[(True, False)] * better, *[(False, True)] * worse], temperature=1)
    assert trial.is_won is wins


@pytest.mark.parametrize(
    ("counts", "enough"),
    [
        ({"Zorv": 100, "Plim": 100, "Kast": 100}, True),
        ({"Zorv": 260, "Plim": 20, "Kast": 20}, True),
        ({"Zorv": 299}, False),
        ({"Zorv": 500, "Plim": 20, "Kast": 19}, False),
        ({"Zorv": 100, "Plim": 100, "Kast": 99}, False),
    ],
)
def test_there_must_be_three_hundred_and_twenty_of_three_entries(counts: dict[str, int], *, enough: bool) -> None:
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    assert (
        training.is_enough([Example(n, TicketText("", ""), "Made up", kind) for n, kind in enumerate(kinds)]) is enough
    )


def test_too_few_reviews_train_nothing(db: Database) -> None:
    review(db, due_ticket(db), CATALOG, "Made up", "Zorv")
    assert training.train_on(db, CATALOG) is None
    with db.read() as session:
        assert session.query(LinearModel).count() == 0


def test_what_is_withdrawn_meanwhile_is_noticed_and_what_is_added_is_not(db: Database) -> None:
    for number in range(3):
        review(db, due_ticket(db, external_id=f"T{number}"), CATALOG, "Made up", "Zorv")
    with db.read() as session:
        before = examples.extent(session)
    review(db, due_ticket(db), CATALOG, "Made up", "Plim")
    with db.read() as session:
        assert examples.are_still(session, before)
    deliver(db, incoming(external_id="T1", short_description="another text"))
    with db.read() as session:
        assert not examples.are_still(session, before)


def test_scores_that_are_too_sure_are_cooled_and_modest_ones_are_heated() -> None:
    chance = np.random.default_rng(3)
    truths = chance.integers(0, 3, 3000)
    scores = chance.normal(size=(3000, 3)) + 1.2 * np.eye(3)[truths]
    fitting = training.temperature_of(scores, truths)
    assert training.temperature_of(10 * scores, truths) == pytest.approx(min(10 * fitting, 5), rel=0.1)
    assert training.temperature_of(scores / 10, truths) == pytest.approx(fitting / 10, rel=0.1)


def test_the_rival_is_taught_as_much_as_in_earnest() -> None:
    assert learning.MAX_EXAMPLES < training.MAX_TRAINED
