"""One-time sign-in links."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete

from receiver.db import people, sign_in
from receiver.db.database import Database
from receiver.db.models import Person, SignInLink
from receiver.lib import roles
from tests.factories import person

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)


def _issue(db: Database) -> str:
    with db.write() as session:
        return sign_in.issue(session, NOON)


def _use(db: Database, token: str, at: datetime = NOON) -> bool:
    with db.write() as session:
        return sign_in.use(session, token, at) is not None


def test_a_link_lets_in_once_and_leaves_the_others_good(db: Database) -> None:
    token, other = _issue(db), _issue(db)
    assert [_use(db, token), _use(db, token), _use(db, other)] == [True, False, True]


def test_of_many_who_use_a_link_at_once_one_comes_in(db: Database) -> None:
    token = _issue(db)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: _use(db, token), range(8))) == 1


def test_a_link_is_good_for_a_day(db: Database) -> None:
    late, in_time = _issue(db), _issue(db)
    assert not _use(db, late, NOON + timedelta(hours=24))
    assert _use(db, in_time, NOON + timedelta(hours=24, seconds=-1))


def test_unknown_tokens_let_nobody_in(db: Database) -> None:
    token = _issue(db)
    assert not any(_use(db, guess) for guess in ("", "x", token[:-1], token + "x", token.swapcase(), "%", "ü\ufffd"))
    assert _use(db, token)


def test_only_the_digest_of_a_token_is_kept(db: Database) -> None:
    token = _issue(db)
    with db.read() as session:
        kept = session.query(SignInLink).one()
    assert token not in str(vars(kept))
    assert not _use(db, kept.token_sha256)


def test_a_link_of_nobody_is_worthless_once_there_is_an_admin(db: Database) -> None:
    with db.write() as session:
        session.execute(delete(Person))
    first, second = _issue(db), _issue(db)
    assert _use(db, first)
    with db.write() as session:
        people.add(session, "ada@example.com", "Ada", roles.ADMIN, NOON, password_hash="x")
    assert not _use(db, second)


def test_a_disabled_person_comes_in_by_no_link(db: Database) -> None:
    someone = person(db)
    with db.write() as session:
        token = sign_in.issue(session, NOON, someone)
        people.disable(session, session.get_one(Person, someone.id))
    assert not _use(db, token)
