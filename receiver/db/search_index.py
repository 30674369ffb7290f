"""The index of words: what a person typed, as a question to it that can mean nothing else.

On SQLite it is FTS5's, on PostgreSQL a table of its own; migrations 0012 and 0020 make them.
"""

import re
import unicodedata

from sqlalchemy import ColumnElement, column, func, literal_column, select, table, text
from sqlalchemy.orm import Session

INDEX = table("ticket_words", column("rowid"), column("ticket_words"))
MOST = 200  # Characters of a search that are looked at.
RANKED = 1_000  # Of those that have the words, the newest are ranked.
_MOST_RANKED = 6  # How rare each word is takes up to 16 ms to find out with a million tickets.
# By column of the index: a word in the subject says more than one in the text, and one in the id says it all.
_WEIGHTS = (6.0, 1.0, 2.0, 10.0)
_ADD = text(
    "INSERT INTO ticket_words (rowid, short_description, long_description, requester_email, external_id)"
    " SELECT id, short_description, long_description, requester_email, external_id FROM tickets"
    " WHERE id > (SELECT max(id) FROM tickets) - :count"
)
# A shorter one begins too many words: with a million tickets, "the" as a beginning takes 0.2 s.
_SHORTEST_BEGINNING = 4
_PARTS = re.compile(r'"([^"]*)"|(\S+)')
_SIGNS = re.compile("[!-/:-@[-`{-~\\s]+")
_ACCENTS = re.compile("[\u0300-\u036f]")


def _on_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def add_newest(session: Session, count: int) -> None:
    """Add the words of the tickets that this transaction has just inserted, of which there are `count`.

    One writes at a time, so that their ids are the highest, without a gap. Each must be added once, and before it
    changes. On PostgreSQL a trigger has added them already.
    """
    if _on_sqlite(session):
        session.connection().execute(_ADD, {"count": count})


def holding(session: Session, typed: str) -> ColumnElement[bool] | None:
    """The index's rows with all of these words, each as it is, the last one as a beginning where it has four letters.

    Words "in quotes" stand in a row. None where there is no letter and no digit to look for.
    """
    typed = plain(typed)
    parts = _parts(typed)
    if not parts:
        return None
    letters = sum(map(str.isalnum, parts[-1]))
    is_open = letters >= _SHORTEST_BEGINNING and not typed.rstrip().endswith('"')
    if _on_sqlite(session):
        return INDEX.c.ticket_words.op("MATCH")(_fts5(parts) + ("*" if is_open else ""))
    question = func.to_tsquery(literal_column("'simple'"), _tsquery(parts) + (":*" if is_open else ""))
    return INDEX.c.ticket_words.op("@@")(question)


def _fts5(parts: list[str]) -> str:
    return " ".join('"' + part.replace('"', " ") + '"' for part in parts)


def _tsquery(parts: list[str]) -> str:
    """The same for PostgreSQL, with the words as `words_of` in the database leaves them."""
    plain_parts = [_ACCENTS.sub("", unicodedata.normalize("NFD", part)) for part in parts]
    return " & ".join(" <-> ".join(f"'{word}'" for word in _SIGNS.split(part) if word) for part in plain_parts)


def _parts(typed: str) -> list[str]:
    parts = [phrase or word for phrase, word in _PARTS.findall(typed)]
    return [part for part in parts if any(map(str.isalnum, part))]


def can_rank(session: Session, typed: str) -> bool:
    """Whether tickets with these words can be put in the order of how well they match: on SQLite, a few words."""
    return _on_sqlite(session) and 0 < len(_parts(plain(typed))) <= _MOST_RANKED


def best(session: Session, typed: str) -> list[int]:
    """The ids of the newest RANKED tickets with these words, which one `can_rank`, the best match first."""
    matches = holding(session, typed)
    if matches is None:
        return []
    score = func.bm25(literal_column("ticket_words"), *_WEIGHTS).label("score")
    newest = select(INDEX.c.rowid, score).where(matches).order_by(INDEX.c.rowid.desc()).limit(RANKED).subquery()
    return list(session.scalars(select(newest.c.rowid).order_by(newest.c.score, newest.c.rowid.desc())))


def plain(typed: str) -> str:
    """What is looked for: no more than MOST characters, and none that a database cannot hold."""
    return re.sub("[\x00\ud800-\udfff]", " ", typed[:MOST]).strip()
