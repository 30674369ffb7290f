"""Who uses the command line, as the audit names them, and the way from there into the pages."""

import os
import pwd

from receiver.clock import now
from receiver.record import audit, people, sign_in
from receiver.record.database import Record


class NobodyError(Exception):
    """There is nobody whom a link could let in; the text says what to do."""


def who() -> str:
    """The user of the operating system, such as `shell root`."""
    try:
        return f"shell {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # Containers run as users that have no name.
        return f"shell user {os.getuid()}"


def sign_in_link(record: Record, email: str | None) -> str:
    """The token of a link that lets somebody in, by default the first admin. Raises NobodyError.

    Whoever has a shell on this machine can read every secret on it; so nothing more is asked here.
    """
    with record.write() as session:
        person = people.by_email(session, email) if email else people.first_admin(session)
        if email and (person is None or not person.active):
            raise NobodyError(f"There is nobody active with the address {email}; People shows who is there.")
        subject = f"person {person.id}" if person else "the first account"
        audit.note(session, who(), "make link", subject, now())
        return sign_in.issue(session, now(), person)
