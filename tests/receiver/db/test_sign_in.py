"""One-time sign-in links."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete

from receiver.db import people, sign_in
from receiver.db.database import Record
from receiver.db.models import Person, SignInLink
from receiver.lib import roles
from tests.factories import person

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)


def _issue(record: Record) -> str:
    with record.write() as session:
        return sign_in.issue(session, NOON)


def _use(record: Record, token: str, at: datetime = NOON) -> bool:
    with record.write() as session:
        return sign_in.use(session, token, at) is not None


def test_a_link_lets_in_once_and_leaves_the_others_good(record: Record) -> None:
    token, other = _issue(record), _issue(record)
    assert [_use(record, token), _use(record, token), _use(record, other)] == [True, False, True]


def test_of_many_who_use_a_link_at_once_one_comes_in(record: Record) -> None:
    token = _issue(record)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: _use(record, token), range(8))) == 1


def test_a_link_is_good_for_a_day(record: Record) -> None:
    late, in_time = _issue(record), _issue(record)
    assert not _use(record, late, NOON + timedelta(hours=24))
    assert _use(record, in_time, NOON + timedelta(hours=24, seconds=-1))


def test_unknown_tokens_let_nobody_in(record: Record) -> None:
    token = _issue(record)
    assert not any(
        _use(record, guess) for guess in ("", "x", token[:-1], token + "x", token.swapcase(), "%", "ü\ufffd")
    )
    assert _use(record, token)


def test_only_the_digest_of_a_token_is_kept(record: Record) -> None:
    token = _issue(record)
    with record.read() as session:
        kept = session.query(SignInLink).one()
    assert token not in str(vars(kept))
    assert not _use(record, kept.token_sha256)


def test_a_link_of_nobody_is_worthless_once_there_is_an_admin(record: Record) -> None:
    with record.write() as session:
        session.execute(delete(Person))
    first, second = _issue(record), _issue(record)
    assert _use(record, first)
    with record.write() as session:
        people.add(session, "ada@example.com", "Ada", roles.ADMIN, NOON, password_hash="x")
    assert not _use(record, second)


def test_a_disabled_person_comes_in_by_no_link(record: Record) -> None:
    someone = person(record)
    with record.write() as session:
        token = sign_in.issue(session, NOON, someone)
        people.disable(session, session.get_one(Person, someone.id))
    assert not _use(record, token)
