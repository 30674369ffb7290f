"""Who uses the command line, as the audit names them, what it shows of the audit, and the way into the pages."""

import os
import pwd
from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from receiver.actions import people as actions
from receiver.actions.context import Context
from receiver.actions.errors import ConflictError, NotFoundError
from receiver.db import audit, people
from receiver.db.database import Database


class TamperedError(Exception):
    """The audit is not as it was written; the text names the first bad entry."""


def who() -> str:
    """The user of the operating system, such as `shell root`."""
    try:
        return f"shell {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # Containers run as users that have no name.
        return f"shell user {os.getuid()}"


def reset_factor(context: Context, email: str) -> str:
    """Take the second factor from a person who has lost it, and say so. Raises ActionError."""
    with context.db.read() as session:
        person = people.by_email(session, email)
    if person is None:
        raise NotFoundError(f"There is nobody with the address {email}; People shows who is there.")
    try:
        actions.reset_second_factor(context, who(), person.id)
    except ConflictError:
        raise ConflictError(f"{person.email} has no second factor.") from None
    return f"{person.email} has no second factor now, and is signed out everywhere"


def verified(db: Database, anchor: str | None) -> str:
    """What to say of an audit that is as it was written. Raises TamperedError."""
    with db.read() as session:
        wrong = audit.verify(session, anchor)
        if wrong:
            raise TamperedError(f"The audit was tampered with: {wrong}.")
        size, head = audit.size(session), audit.head(session)
    return (
        f"{size:,} entries are as they were written. Whoever can write into the database could write all of them anew;"
        f" keep the last one elsewhere, and give it to --anchor next time:\n{head}"
    )


def changes(db: Database, limit: int, filters: dict[str, str]) -> Iterator[str]:
    """A line for each of the latest entries of the audit, the newest last."""
    with db.read() as session:
        found = audit.page(session, limit, filters=filters)
    for entry in reversed(found):
        details = "; ".join(f"{name}: {value}" for name, value in entry.details.items())
        yield f"{entry.number}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.who}  {entry.action}  {entry.subject}  {details}"


def told(error: Exception) -> str:
    """What to say of an error, in one line, with the file where one is named."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    if isinstance(error, SQLAlchemyError):
        return f"the database cannot be used: {getattr(error, 'orig', None) or type(error).__name__}"
    return str(error)
