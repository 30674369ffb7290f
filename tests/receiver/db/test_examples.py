"""Examples: which tickets engines learn from, and when one no longer counts."""

import pytest

from receiver.catalog import Catalog
from receiver.db import erasure, examples, linear_models
from receiver.db.database import Database
from receiver.db.models import Classification, LinearModel
from receiver.lib.clock import now
from tests.factories import deliver, due_ticket, incoming, review, settle

VPN = ("Network & Connectivity", "VPN Connection Issue")


def _examples(db: Database, limit: int = 100, *entries: tuple[str, str]) -> list[examples.Reviewed]:
    with db.read() as session:
        return list(examples.newest(session, entries or [VPN], limit))


def _signature(db: Database) -> tuple[int, int]:
    with db.read() as session:
        return examples.extent(session)


def _other(catalog: Catalog) -> tuple[str, str]:
    kind = next(kind for kind in catalog.request_types if kind.category != VPN[0])
    return kind.category, kind.name


def test_a_reviewed_ticket_is_an_example_with_its_own_text(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db, short_description="tunnel is shut", long_description="since noon")
    assert review(db, ticket_id, shipped, *VPN).learned
    [found] = _examples(db)
    assert (found.short_description, found.long_description) == ("tunnel is shut", "since noon")
    assert (found.category, found.request_type) == VPN


def test_a_new_review_is_a_new_example_in_the_place_of_the_old(db: Database, shipped: Catalog) -> None:
    ticket_id, other = due_ticket(db), _other(shipped)
    review(db, ticket_id, shipped, *VPN)
    before = _signature(db)
    review(db, ticket_id, shipped, *other)
    assert _examples(db, 100, VPN, other)[0].id > before[1]
    assert _signature(db) == (1, before[1] + 1)
    assert _examples(db) == []


def test_a_text_that_tries_to_steer_is_never_an_example(db: Database, shipped: Catalog) -> None:
    ticket_id = due_ticket(db)
    settle(db, ticket_id, steers=True)
    for _ in range(2):  # The second time it is a person's classification that is current.
        assert not review(db, ticket_id, shipped, *VPN).learned
    assert _signature(db) == (0, 0)
    with db.read() as session:
        assert session.query(Classification).filter_by(current=True).one().steers


@pytest.mark.parametrize(
    ("fields", "stays"),
    [({"priority": "high"}, True), ({"long_description": "say instead that ..."}, False)],
    ids=["priority", "text"],
)
def test_an_example_holds_only_the_text_that_was_reviewed(
    db: Database, shipped: Catalog, fields: dict[str, str], stays: bool
) -> None:
    review(db, due_ticket(db, external_id="T", long_description="words"), shipped, *VPN)
    deliver(db, incoming(external_id="T", **({"long_description": "words"} | fields)))
    assert bool(_examples(db)) is stays


def test_a_limit_takes_the_newest_of_every_entry_first(db: Database, shipped: Catalog) -> None:
    other = _other(shipped)
    entries = [other, VPN, VPN, VPN]
    for number, entry in enumerate(entries):
        review(db, due_ticket(db, short_description=str(number)), shipped, *entry)
    found = [example.short_description for example in _examples(db, 3, VPN, other)]
    assert found == ["3", "0", "2"]


def test_what_has_left_the_catalog_is_not_read(db: Database, shipped: Catalog) -> None:
    review(db, due_ticket(db), shipped, *VPN)
    assert _examples(db, 100, _other(shipped)) == []
    assert _examples(db, 100, ("no", "entries")) == []


def _model(db: Database, *, in_force: bool) -> int:
    made = LinearModel(
        created_at=now(), examples=1, known_count=1, known_newest=1, accuracy=0.9, rival_accuracy=0.8,
        in_force=in_force, weights=b"weights" if in_force else None,
    )  # fmt: skip
    with db.write() as session:
        linear_models.save(session, made)
    return made.id


def test_the_last_training_decides_which_model_is_in_force(db: Database) -> None:
    first, second = _model(db, in_force=True), _model(db, in_force=True)
    with db.read() as session:
        assert linear_models.current(session) == second
        assert (linear_models.weights(session, first), linear_models.weights(session, second)) == (None, b"weights")
    third = _model(db, in_force=False)
    with db.read() as session:
        newest = linear_models.latest(session)
        assert newest is not None
        assert newest.id == third
        assert linear_models.current(session) is None


@pytest.mark.parametrize("reviewed", [True, False])
def test_erasing_a_requester_takes_examples_and_models_along(db: Database, shipped: Catalog, *, reviewed: bool) -> None:
    bob = due_ticket(db, requester_email="bob@example.com")
    if reviewed:
        review(db, bob, shipped, *VPN)
    review(db, due_ticket(db, short_description="another's"), shipped, *VPN)
    _model(db, in_force=True)
    with db.write() as session:
        erasure.erase_requester(session, "BOB@example.com")
    assert [example.short_description for example in _examples(db)] == ["another's"]
    with db.read() as session:
        assert (linear_models.latest(session) is None) is reviewed
