"""One-time sign-in links."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from receiver.record import sign_in
from receiver.record.database import Record
from receiver.record.models import SignInLink

NOON = datetime(2025, 12, 5, 12, tzinfo=UTC)


def _issue(record: Record) -> str:
    with record.write() as session:
        return sign_in.issue(session, NOON)


def _use(record: Record, token: str, at: datetime = NOON) -> bool:
    with record.write() as session:
        return sign_in.use(session, token, at)


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


def test_the_first_link_is_known_to_be_the_first(record: Record) -> None:
    with record.read() as session:
        assert not sign_in.was_ever_issued(session)
    _use(record, _issue(record))
    with record.read() as session:
        assert sign_in.was_ever_issued(session)
