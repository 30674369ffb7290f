"""The invariants: what must be true whatever happened."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from chaos.ledger import SECRET_IN_TEXT, Ledger
from chaos.world import World
from receiver import catalog
from receiver.lib import secret_files
from receiver.lib.settings import Settings

_SETTLED = {"classified", "needs_review", "failed", "reviewed"}


def broken(world: World, ledger: Ledger) -> list[str]:
    """Every invariant that does not hold, as a sentence; none on a good day."""
    path = Path(str(world.db.path))
    return [
        *database(path),
        *acknowledged(path, ledger),
        *digests(path, world),
        *_stats(world),
        *_logs(world),
    ]


def database(path: Path) -> list[str]:
    """What is wrong inside a database file: structure, doubles, labels, digests."""
    with closing(sqlite3.connect(path)) as connection:
        faults = [f"integrity: {row[0]}" for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        faults += [f"foreign key: {row}" for row in connection.execute("PRAGMA foreign_key_check")]
        for what, query in _NONE_OF_THESE.items():
            faults += [f"{what}: {row}" for row in connection.execute(query).fetchmany(5)]
        faults += _foreign_labels(connection)
    return faults


_NONE_OF_THESE = {
    "a ticket twice": "SELECT source, external_id FROM tickets GROUP BY 1, 2 HAVING count(*) > 1",
    "not one current classification": (
        "SELECT t.id, t.status, count(c.id) FROM tickets t LEFT JOIN classifications c ON c.ticket_id = t.id"
        " AND c.current WHERE t.status IN ('classified', 'needs_review', 'reviewed')"
        " GROUP BY t.id HAVING count(c.id) <> 1"
    ),
    "failed without a reason": "SELECT id FROM tickets WHERE status = 'failed' AND error IS NULL",
    "a ticket's work differs from its status": (
        "SELECT t.id, t.status, w.state FROM tickets t LEFT JOIN work w ON w.kind = 'classify' AND w.subject_id = t.id"
        " WHERE CASE t.status WHEN 'received' THEN coalesce(w.state, '') NOT IN ('due', 'leased')"
        " WHEN 'failed' THEN coalesce(w.state, '') <> 'dead' ELSE w.state IS NOT NULL END"
    ),
    "work of a ticket that is gone": (
        "SELECT subject_id FROM work WHERE kind = 'classify' AND subject_id NOT IN (SELECT id FROM tickets)"
    ),
    "a settled ticket without its number": "SELECT id FROM tickets WHERE status <> 'received' AND settled IS NULL",
    "a ticket's label differs from its classification": (
        "SELECT t.id FROM tickets t JOIN classifications c ON c.ticket_id = t.id AND c.current"
        " WHERE t.status IN ('classified', 'needs_review', 'reviewed')"
        " AND (t.category, t.request_type) <> (c.category, c.request_type)"
    ),
    "an example of what nobody reviewed": (
        "SELECT e.ticket_id FROM examples e JOIN tickets t ON t.id = e.ticket_id JOIN classifications c"
        " ON c.ticket_id = t.id AND c.current WHERE t.status <> 'reviewed' OR c.reviewer IS NULL OR c.steers"
        " OR (e.category, e.request_type) <> (c.category, c.request_type)"
    ),
    "a digest's work differs from its status": (
        "SELECT d.id, d.status, w.state FROM digests d LEFT JOIN work w"
        " ON w.kind = 'send_digest' AND w.subject_id = d.id"
        " WHERE CASE d.status WHEN 'claimed' THEN coalesce(w.state, '') NOT IN ('due', 'leased')"
        " WHEN 'sending' THEN coalesce(w.state, '') <> 'leased' ELSE w.state IS NOT NULL END"
    ),
    "work of a digest that is gone": (
        "SELECT subject_id FROM work WHERE kind = 'send_digest' AND subject_id NOT IN (SELECT id FROM digests)"
    ),
    "a digest's size differs from its membership": (
        "SELECT d.id FROM digests d WHERE d.tickets <> (SELECT count(*) FROM digest_tickets m WHERE m.digest_id = d.id)"
    ),
}


def _foreign_labels(connection: sqlite3.Connection) -> list[str]:
    """Classifications whose label is not in the catalog version they name."""
    versions = {
        version: catalog.parse(text) for version, text in connection.execute("SELECT version, text FROM catalogs")
    }
    query = "SELECT DISTINCT catalog_version, category, request_type FROM classifications"
    return [
        f"label outside catalog {version}: {category} / {name}"
        for version, category, name in connection.execute(query)
        if version not in versions or versions[version].find(category, name) is None
    ]


def acknowledged(path: Path, ledger: Ledger) -> list[str]:
    """Acknowledged tickets that are lost, unsettled, or whose text is not the acknowledged one."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT external_id, status, short_description FROM tickets").fetchall()
    known = {name: (status, text) for name, status, text in rows}
    faults = []
    for name, text in ledger.acknowledged.items():
        status, stored = known.get(name, ("lost", ""))
        if status not in _SETTLED or stored != text:
            faults.append(f"acknowledged ticket {name} is {status}" + ("" if stored == text else ", with other text"))
    return faults[:10]


def digests(path: Path, world: World) -> list[str]:
    """Tickets in more than one sent digest without having been settled again, and mails that went out twice."""
    with closing(sqlite3.connect(path)) as connection:
        doubled = connection.execute(
            "SELECT ticket_id, classification_id FROM digest_tickets m JOIN digests d ON d.id = m.digest_id"
            " WHERE d.status = 'sent' AND d.name = 'digest' AND d.copy_of IS NULL GROUP BY 1, 2 HAVING count(*) > 1"
        ).fetchmany(5)
    sent = Counter(str(mail["Message-ID"]) for mail in world.mail.messages)
    return [f"in two sent digests: {row}" for row in doubled] + [
        f"mailed {n} times: {m}" for m, n in sent.items() if n > 1
    ]


def _stats(world: World) -> list[str]:
    said = {status: count for status, count in world.api("stats")["tickets"].items() if count}
    return [] if said == world.counts() else [f"/api/stats says {said}, the database {world.counts()}"]


def _logs(world: World) -> list[str]:
    """Secrets and ticket text in what the processes wrote."""
    written = world.log.read_text(errors="replace")
    planted = [SECRET_IN_TEXT, *_secrets(world.config)]
    return [f"planted text {text[:12]}... is in the log" for text in planted if text in written]


def _secrets(config: Settings) -> list[str]:
    return [secret_files.api_token(config), secret_files.session_key(config), *secret_files.webhook_secrets(config)]
