"""Learning: what people review reaches the engine before the next ticket does."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, event

from jobs.classification import learning, training
from jobs.classification.classify import ClassificationRun
from jobs.classification.engines import local
from jobs.classification.engines.base import Example, Proposal, TicketText
from jobs.classification.engines.linear import Linear
from jobs.operations import worker
from receiver.catalog import Catalog, parse
from receiver.db import catalogs, linear_models, ticket_query
from receiver.db.database import Database
from receiver.db.models import LinearModel
from receiver.lib.clock import now
from receiver.lib.settings import Settings
from tests.factories import deliver, due_ticket, incoming, review
from tests.jobs.classification.test_linear import LABELS, animals

PETS = parse("categories: [{name: Pets, requests: [{name: Cats}, {name: Dogs}, {name: Birds}, {name: Other}]}]")


class Parrot:
    """An engine that knows nothing but its examples, and asks for them as often as it is asked."""

    name, model, parallel = "parrot", "parrot-1", 1

    def __init__(self, during: Callable[[TicketText], object] = lambda _: None) -> None:
        self.lessons: list[list[Example]] = []
        self._during = during

    def learn(self, examples: Sequence[Example]) -> None:
        self.lessons.append(list(examples))

    def propose(self, ticket: TicketText) -> Proposal:
        self._during(ticket)
        known = {example.text.short_description: example.request_type for lesson in self.lessons for example in lesson}
        return Proposal(known.get(ticket.short_description, "Other"), 0.9, "", self.name, self.model)


class Keeper(local.LocalEngine):
    """The local engine, which also notes which models it was given."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog)
        self.adopted: list[Linear | None] = []
        self.trained_to: list[int] = []

    def adopt(self, linear: Linear | None, trained_to: int = 0) -> None:
        super().adopt(linear, trained_to)
        self.adopted.append(linear)
        self.trained_to.append(trained_to)


def _statements(work: Callable[[], object]) -> list[str]:
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return found


def _types(lesson: list[Example]) -> set[str]:
    return {example.request_type for example in lesson}


def _train(db: Database, weights: bytes | None, *, in_force: bool = True) -> None:
    made = LinearModel(
        created_at=now(), examples=1, known_count=1, known_newest=1, accuracy=0.9, rival_accuracy=0.8,
        in_force=in_force, weights=weights,
    )  # fmt: skip
    with db.write() as session:
        linear_models.save(session, made)


@pytest.fixture(scope="module")
def linear() -> Linear:
    return training.fit(animals(10), LABELS)


def test_an_engine_is_taught_each_change_once(db: Database) -> None:
    engine = Parrot()
    ticket_id = due_ticket(db)
    for choice in ("Cats", "Dogs"):
        review(db, ticket_id, PETS, "Pets", choice)
        for _ in range(3):
            learning.refresh(db, engine, PETS)
    assert [_types(lesson) for lesson in engine.lessons] == [{"Cats"}, {"Dogs"}]


def test_what_is_withdrawn_is_unlearned(db: Database) -> None:
    engine = Parrot()
    review(db, due_ticket(db, external_id="T"), PETS, "Pets", "Cats")
    learning.refresh(db, engine, PETS)
    deliver(db, incoming(external_id="T", short_description="other words"))
    learning.refresh(db, engine, PETS)
    assert [len(lesson) for lesson in engine.lessons] == [1, 0]


def test_where_nothing_is_new_it_costs_two_small_queries(db: Database) -> None:
    engine = Parrot()
    assert len(_statements(lambda: learning.refresh(db, engine, PETS))) == 2
    review(db, due_ticket(db), PETS, "Pets", "Cats")
    learning.refresh(db, engine, PETS)
    assert len(_statements(lambda: learning.refresh(db, engine, PETS))) == 2
    assert len(engine.lessons) == 1


def test_examples_of_entries_that_left_the_catalog_are_not_taught(db: Database) -> None:
    for choice in ("Cats", "Dogs"):
        review(db, due_ticket(db), PETS, "Pets", choice)
    engine = Parrot()
    learning.refresh(db, engine, parse("categories: [{name: Pets, requests: [{name: Dogs}, {name: Other}]}]"))
    assert _types(engine.lessons[0]) == {"Dogs"}


def test_a_review_helps_the_very_next_ticket_of_the_same_run(db: Database, config: Settings) -> None:
    """While the first ticket is being classified, a person reviews another, and a ticket like that one arrives."""

    def during(ticket: TicketText) -> None:
        if ticket.short_description == "first":
            review(db, reviewed, PETS, "Pets", "Birds")
            deliver(db, incoming(short_description="seen before", external_id="late"))

    with db.write() as session:
        catalogs.remember(session, PETS.version, PETS.text, now())
    reviewed = due_ticket(db, short_description="seen before")
    review(db, reviewed, PETS, "Pets", "Cats")
    deliver(db, incoming(short_description="first"))
    ClassificationRun(db, Parrot(during), PETS, config).run(budget=20)
    with db.read() as session:
        late = ticket_query.page(session, ticket_query.TicketQuery(q="late"), 1, now()).pairs[0][0]
    assert (late.status, late.request_type) == ("classified", "Birds")


def test_a_worker_learns_before_it_forks_so_that_its_jobs_need_not(db: Database, config: Settings) -> None:
    with db.write() as session:
        catalogs.remember(session, PETS.version, PETS.text, now())
    review(db, due_ticket(db), PETS, "Pets", "Cats")
    assert any("FROM examples JOIN tickets" in statement for statement in _statements(lambda: worker.warm(config)))
    assert not any("FROM examples JOIN tickets" in statement for statement in _statements(lambda: worker.warm(config)))


def test_the_local_engine_adopts_the_model_in_force_and_lets_it_go(db: Database, linear: Linear) -> None:
    engine = Keeper(PETS)
    for weights in (linear.to_bytes(), None):
        _train(db, weights, in_force=weights is not None)
        for _ in range(2):
            learning.refresh(db, engine, PETS)
    adopted, let_go = engine.adopted
    assert adopted is not None
    assert set(adopted.labels) == set(LABELS)
    assert engine.trained_to == [1, 0]
    assert let_go is None


def test_behind_another_engine_it_is_the_local_one_that_adopts(db: Database, linear: Linear) -> None:
    catalog = parse(PETS.text + "# a catalog of this test alone\n")
    behind = local.for_catalog(catalog)
    for weights in (linear.to_bytes(), None):
        _train(db, weights, in_force=weights is not None)
        learning.refresh(db, Parrot(), catalog)
        assert learning._adopted[behind][1] == (1 if weights else None)


def test_a_model_speaks_of_nothing_that_has_left_the_catalog(db: Database, linear: Linear) -> None:
    fewer = parse("categories: [{name: Pets, requests: [{name: Dogs}, {name: Cats}, {name: Fish}]}]")
    engine = Keeper(fewer)
    _train(db, linear.to_bytes())
    learning.refresh(db, engine, fewer)
    assert engine.adopted[0] is not None
    assert set(engine.adopted[0].labels) == {("Pets", "Dogs"), ("Pets", "Cats")}


def test_a_model_that_cannot_be_read_is_not_used_and_stops_nothing(
    db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Keeper(PETS)
    _train(db, b"of another version")
    learning.refresh(db, engine, PETS)
    assert engine.adopted == [None]
    assert "unused until the next training" in caplog.text
