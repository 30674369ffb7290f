"""What people do to their own accounts. That it is really the person who asks is proved before, see receiver/web."""

from receiver.actions.context import Context
from receiver.actions.errors import ConflictError
from receiver.db import api_tokens, audit, browser_sessions, second_factors
from receiver.db.models import Person

# So that nobody fills the table, and a list of tokens fits on a page.
_MOST_TOKENS = 50


def change_name(context: Context, who: str, person_id: int, name: str) -> None:
    """Change a person's own name."""
    with context.db.write() as session:
        session.get_one(Person, person_id).name = name
        audit.note(session, who, "change name", f"person {person_id}", context.clock())


def change_password(
    context: Context, who: str, person_id: int, password_hash: str, browser: str, *, end_tokens: bool
) -> int:
    """Keep a new password, and end every session but that of this browser; see `sign_out_everywhere`."""
    return _end_others(context, who, "change password", person_id, browser, end_tokens, password_hash)


def sign_out_everywhere(context: Context, who: str, person_id: int, browser: str, *, end_tokens: bool) -> int:
    """End every session but that of this browser, named by its token; returns how many API tokens ended too."""
    return _end_others(context, who, "sign out everywhere", person_id, browser, end_tokens)


def _end_others(
    context: Context,
    who: str,
    action: str,
    person_id: int,
    browser: str,
    end_tokens: bool,
    password_hash: str | None = None,
) -> int:
    with context.db.write() as session:
        if password_hash:
            session.get_one(Person, person_id).password_hash = password_hash
        # Not the browser at hand: its person has just shown who they are.
        browser_sessions.end_all(session, person_id, but=browser)
        many = api_tokens.end_all(session, person_id) if end_tokens else 0
        details = {"tokens_ended": many} if many else {}
        audit.note(session, who, action, f"person {person_id}", context.clock(), details)
    return many


def make_token(context: Context, who: str, person_id: int, name: str, role: str, days: int, *, read_only: bool) -> str:
    """Make an API token; returns its text, which is not kept. Raises ConflictError where there are too many."""
    moment = context.clock()
    with context.db.write() as session:
        if len(api_tokens.of(session, person_id)) >= _MOST_TOKENS:
            raise ConflictError(f"You have {_MOST_TOKENS} tokens; revoke some first.")
        token, text = api_tokens.issue(session, person_id, name, role, read_only, days, moment)
        details = {"token": token.name, "role": token.role, "read_only": token.read_only}
        audit.note(session, who, "make token", f"person {person_id}", moment, details)
    return text


def begin_second_factor(context: Context, person_id: int) -> None:
    """Make a secret, which counts once it is confirmed. Raises ConflictError where there is a factor."""
    # Until it is confirmed nothing has changed, so there is nothing for the audit to say.
    with context.db.write() as session:
        if second_factors.find(session, person_id):
            raise ConflictError("You have a second factor; turn it off first.")
        second_factors.begin(session, person_id, context.factor_cipher, context.clock())


def confirm_second_factor(context: Context, who: str, person_id: int, code: str) -> list[str] | None:
    """Let the factor count, with a code of it; returns the recovery codes, None where the code is wrong."""
    moment = context.clock()
    with context.db.write() as session:
        # Only now does it count: a secret that never reached the phone would lock its person out.
        if not second_factors.confirm(session, person_id, code, context.factor_cipher, moment):
            return None
        codes = second_factors.new_recovery_codes(session, person_id)
        audit.note(session, who, "set up second factor", f"person {person_id}", moment)
    return codes


def renew_recovery_codes(context: Context, who: str, person_id: int) -> list[str]:
    """Make new recovery codes, which replace those before."""
    with context.db.write() as session:
        codes = second_factors.new_recovery_codes(session, person_id)
        audit.note(session, who, "make recovery codes", f"person {person_id}", context.clock())
    return codes


def turn_off_second_factor(context: Context, who: str, person_id: int) -> None:
    """Forget the factor."""
    with context.db.write() as session:
        second_factors.remove(session, person_id)
        audit.note(session, who, "turn off second factor", f"person {person_id}", context.clock())
