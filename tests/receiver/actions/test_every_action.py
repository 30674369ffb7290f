"""Whatever an action changes is in the audit, under the name of whoever asked for it."""

import inspect
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pyotp
import pytest

from receiver import queue
from receiver.actions import account, classification, digests, exports, jobs, outbox, people, review, sources
from receiver.actions import deliveries as replays
from receiver.actions.context import Context
from receiver.db import api_tokens, audit, deliveries, due_tickets, second_factors, timetable
from receiver.db import digests as rows
from receiver.db.database import Database
from receiver.db.deliveries import Content
from receiver.digests import schedules
from receiver.lib import roles
from receiver.lib.clock import now
from receiver.lib.mail_addresses import Envelope
from receiver.lib.settings import Settings
from tests.conftest import ROOT
from tests.factories import acting, arrival, due_ticket, person, settle

WHO = "ada@example.com"


def _settled(context: Context) -> int:
    ticket_id = due_ticket(context.db)
    settle(context.db, ticket_id)
    return ticket_id


def _failed(context: Context) -> int:
    ticket_id = due_ticket(context.db)
    with context.db.write() as session:
        due_tickets.fail(session, ticket_id, "other", "gave up", 1, None)
    return ticket_id


def _undo(context: Context) -> None:
    ticket_id = _settled(context)
    review.review(context, WHO, ticket_id, None)
    review.undo(context, WHO, ticket_id)


def _resume(context: Context) -> None:
    classification.pause(context, WHO)
    classification.resume(context, WHO)


def _digest(context: Context, status: str) -> int:
    _settled(context)
    with context.db.write() as session:
        claimed = rows.claim(session, "p", Envelope(("boss@example.com",), "x"), now())
        assert claimed
        rows.mark(session, claimed.id, status, now())
    return claimed.id


def _send(context: Context) -> None:
    _settled(context)
    digests.send_now(context, WHO, schedules.named(context.settings))


def _quarantined(context: Context) -> int:
    with context.db.write() as session:
        return deliveries.record(session, arrival(), Content(error="not JSON")).id


def _run_now(context: Context) -> None:
    with context.db.write() as session:
        timetable.announce(session, [(queue.DIGEST_JOB, queue.DIGEST, 60)])
    jobs.run_now(context, WHO, queue.DIGEST_JOB)


def _cancel_job(context: Context) -> None:
    job = queue.queue(queue.DIGEST, context.redis).enqueue(queue.DIGEST_JOB)
    jobs.change_job(context, WHO, "cancel", job.id)


def _viewer(context: Context) -> int:
    return person(context.db, roles.VIEWER).id


def _token(context: Context, person_id: int) -> int:
    account.make_token(context, WHO, person_id, "reports", roles.VIEWER, 7, read_only=True)
    with context.db.read() as session:
        return api_tokens.of(session, person_id)[0].id


def _revoke(context: Context) -> None:
    person_id = _viewer(context)
    people.revoke_token(context, WHO, person_id, _token(context, person_id))


def _factor(context: Context) -> int:
    """Somebody with a second factor."""
    person_id = _viewer(context)
    account.begin_second_factor(context, person_id)
    with context.db.read() as session:
        secret = second_factors.unconfirmed(session, person_id, context.factor_cipher, now())
    assert secret
    assert account.confirm_second_factor(context, WHO, person_id, pyotp.TOTP(secret).at(now()))
    return person_id


# By function: a call that changes something, and what the audit calls it.
ACTIONS: dict[Callable[..., object], tuple[Callable[[Context], object], str]] = {
    review.review: (lambda c: review.review(c, WHO, _settled(c), None), "confirm"),
    review.confirm: (lambda c: review.confirm(c, WHO, [_settled(c)]), "confirm"),
    review.undo: (_undo, "undo review"),
    classification.pause: (lambda c: classification.pause(c, WHO), "pause"),
    classification.resume: (_resume, "resume"),
    classification.redrive: (lambda c: classification.redrive(c, WHO, [_failed(c)]), "redrive"),
    classification.reload_catalog: (lambda c: classification.reload_catalog(c, WHO), "reload"),
    digests.send_now: (_send, "send"),
    digests.resend: (lambda c: digests.resend(c, WHO, _digest(c, "sent")), "resend"),
    digests.redrive: (lambda c: digests.redrive(c, WHO, _digest(c, "failed")), "redrive"),
    digests.accept: (lambda c: digests.accept(c, WHO, _digest(c, "held")), "mark as sent"),
    replays.replay: (lambda c: replays.replay(c, WHO, _quarantined(c)), "replay"),
    replays.replay_each: (lambda c: list(replays.replay_each(c, WHO, [_quarantined(c)])), "replay"),
    replays.dismiss: (lambda c: replays.dismiss(c, WHO, [_quarantined(c)]), "dismiss"),
    jobs.change_job: (_cancel_job, "cancel job"),
    jobs.change_queue: (lambda c: jobs.change_queue(c, WHO, "empty", queue.DIGEST), "empty"),
    jobs.run_now: (_run_now, "run"),
    sources.rotate_secret: (
        lambda c: sources.rotate_secret(c, WHO, c.sources["standard"], timedelta(hours=1)), "rotate secret",
    ),
    sources.end_old_secrets: (lambda c: sources.end_old_secrets(c, WHO, c.sources["standard"]), "end old secrets"),
    outbox.redrive: (lambda c: outbox.redrive(c, WHO, None), "redrive"),
    exports.note: (lambda c: exports.note(c, WHO, "tickets", "CSV"), "export"),
    people.invite: (lambda c: people.invite(c, WHO, "lin@example.com", "Lin", roles.VIEWER), "invite"),
    people.change_role: (lambda c: people.change_role(c, WHO, _viewer(c), roles.OPERATOR), "change role"),
    people.disable: (lambda c: people.disable(c, WHO, _viewer(c)), "disable"),
    people.enable: (lambda c: people.enable(c, WHO, _viewer(c)), "enable"),
    people.end_access: (lambda c: people.end_access(c, WHO, _viewer(c)), "end access"),
    people.forget_identity: (lambda c: people.forget_identity(c, WHO, _viewer(c)), "forget identity"),
    people.reset_second_factor: (lambda c: people.reset_second_factor(c, WHO, _factor(c)), "reset second factor"),
    people.make_password_link: (lambda c: people.make_password_link(c, WHO, _viewer(c)), "make link"),
    people.make_sign_in_link: (lambda c: people.make_sign_in_link(c, WHO, None), "make link"),
    people.revoke_token: (_revoke, "revoke token"),
    account.change_name: (lambda c: account.change_name(c, WHO, _viewer(c), "Lin"), "change name"),
    account.change_password: (
        lambda c: account.change_password(c, WHO, _viewer(c), "hash", "browser", end_tokens=True), "change password",
    ),
    account.sign_out_everywhere: (
        lambda c: account.sign_out_everywhere(c, WHO, _viewer(c), "browser", end_tokens=True), "sign out everywhere",
    ),
    account.make_token: (lambda c: _token(c, _viewer(c)), "make token"),
    account.confirm_second_factor: (_factor, "set up second factor"),
    account.renew_recovery_codes: (lambda c: account.renew_recovery_codes(c, WHO, _viewer(c)), "make recovery codes"),
    account.turn_off_second_factor: (
        lambda c: account.turn_off_second_factor(c, WHO, _factor(c)), "turn off second factor",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "action", ACTIONS, ids=lambda action: f"{action.__module__.rpartition('.')[2]}.{action.__name__}"
)
def test_the_audit_says_who_did_what(action: Callable[..., object], db: Database, config: Settings) -> None:
    act, named = ACTIONS[action]
    act(acting(db, config))
    with db.read() as session:
        [entry] = audit.page(session, 1)
    assert (entry.who, entry.action) == (WHO, named)


def test_every_action_that_somebody_asks_for_is_tried_here() -> None:
    found = set()
    for path in Path(ROOT / "receiver/actions").glob("*.py"):
        for function in vars(import_module(f"receiver.actions.{path.stem}")).values():
            is_own = inspect.isfunction(function) and function.__module__ == f"receiver.actions.{path.stem}"
            if is_own and not function.__name__.startswith("_") and "who" in inspect.signature(function).parameters:
                found.add(function)
    assert found == set(ACTIONS)
