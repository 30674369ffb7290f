"""Alarms are a kind, a code and details; a pause is a row of its own. Before, they were a name and a sentence."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

PAUSED = "classification is paused by (?P<who>.*); tickets are accepted and wait .*"
# Alarms that stay up until somebody does something; every other one is raised again, with its code, within seconds.
PATTERNS = (
    ("digest", "digest_failed", r"digest (?P<digest>\d+) failed: (?P<error>.*)"),
    ("digest", "digest_held", r"digest (?P<digest>\d+) is held: (?P<error>.*)"),
    ("digest", "digest_partly", r"digest (?P<digest>\d+) does not reach everybody: (?P<error>.*)"),
    ("outgoing", "outgoing", "the source (?P<source>.+?) cannot be told or asked: (?P<error>.*)"),
    (
        "outgoing",
        "incomplete",
        r"the helpdesk of ticket (?P<ticket>\d+) \((?P<source>.*?)\) is not complete: (?P<error>.*)",
    ),
    (
        "outgoing",
        "untold",
        r"the helpdesk of ticket (?P<ticket>\d+) \((?P<source>.*?)\) is not told its classification: (?P<error>.*)",
    ),
    ("outgoing", "gone", "(?P<source>.+?): (?P<error>the webhook's receiver answered 410 .*)"),
    ("reconcile", "reconcile", "the source (?P<source>.+?) cannot be reconciled: (?P<error>.*)"),
    ("backup", "backup", "no backup could be made: (?P<error>.*)"),
    ("audit", "audit", "the audit was tampered with: (?P<problem>.*); compare it with a backup"),
    ("budget", "budget", "(?P<error>.*)"),
    ("engine", "engine", "(?P<error>.*)"),
)


def upgrade() -> None:
    connection = op.get_bind()
    before = sa.table("alarms", sa.column("name"), sa.column("message"), sa.column("since", sa.DateTime(timezone=True)))
    rows = connection.execute(sa.select(before)).all()
    op.drop_table("alarms")
    alarms = op.create_table(
        "alarms",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_alarms"),
    )
    pause = op.create_table(
        "pause",
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_pause"),
    )
    for row in rows:
        kind, _, subject = row.name.partition(":")
        if kind == "paused":
            found = re.fullmatch(PAUSED, row.message, re.DOTALL)
            who = found["who"] if found else "somebody"
            connection.execute(pause.insert().values(scope="classification", who=who, since=row.since))
        else:
            code, detail = coded(kind, row.message)
            values = {"kind": kind, "subject": subject, "code": code, "detail": detail, "since": row.since}
            connection.execute(alarms.insert().values(**values))


def coded(kind: str, message: str) -> tuple[str, dict[str, str]]:
    """The code and the details that say the same as a sentence of 0.1.0."""
    for of_kind, code, pattern in PATTERNS:
        if kind == of_kind and (found := re.fullmatch(pattern, message, re.DOTALL)):
            return code, found.groupdict()
    return "other", {"text": message}
