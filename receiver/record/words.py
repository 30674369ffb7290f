"""The index of words: what a person typed, as a question to it that can mean nothing else."""

import re

from sqlalchemy import column, table, text
from sqlalchemy.orm import Session

INDEX = table("ticket_words", column("rowid"), column("ticket_words"))
MOST = 200  # Characters of a search that are looked at.
_ADD = text(
    "INSERT INTO ticket_words (rowid, short_description, long_description, requester_email, external_id)"
    " SELECT id, short_description, long_description, requester_email, external_id FROM tickets"
    " WHERE id > (SELECT max(id) FROM tickets) - :count"
)
# A shorter one begins too many words: with a million tickets, "the" as a beginning takes 0.2 s.
_SHORTEST_BEGINNING = 4
_PARTS = re.compile(r'"([^"]*)"|(\S+)')


def can_search(session: Session) -> bool:
    """Whether this database has such an index; SQLite does."""
    return session.get_bind().dialect.name == "sqlite"


def add_newest(session: Session, count: int) -> None:
    """Add the words of the tickets that this transaction has just inserted, of which there are `count`.

    SQLite lets only one write at once, so that their ids are the highest, without a gap. Each must be added once, and
    before it changes.
    """
    if can_search(session):
        session.connection().execute(_ADD, {"count": count})


def question(typed: str) -> str | None:
    """All of these words, each as it is, the last one as a beginning where it has four letters; "in quotes", in a row.

    None where there is no letter and no digit to look for.
    """
    typed = plain(typed)
    parts = [phrase or word for phrase, word in _PARTS.findall(typed)]
    parts = [part for part in parts if any(map(str.isalnum, part))]
    if not parts:
        return None
    quoted = ['"' + part.replace('"', " ") + '"' for part in parts]
    letters = sum(map(str.isalnum, parts[-1]))
    is_open = letters >= _SHORTEST_BEGINNING and not typed.rstrip().endswith('"')
    return " ".join(quoted) + ("*" if is_open else "")


def plain(typed: str) -> str:
    """What is looked for: no more than MOST characters, and none that a database cannot hold."""
    return re.sub("[\x00\ud800-\udfff]", " ", typed[:MOST]).strip()
