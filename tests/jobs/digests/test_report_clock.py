"""The clock and the words of workbook and mail: the digest's own zone, and nothing called broken that may be kept."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from jobs.digests import mail, send
from jobs.digests.mail import Attachment, Content
from jobs.digests.translations import LANGUAGES, words
from jobs.digests.workbook import Summary, cells
from receiver.db import digests, one_shot_runs
from receiver.db.database import Database
from receiver.db.models import Digest
from receiver.lib.settings import Settings
from tests.factories import classification, due_ticket, settle
from tests.jobs.digests.test_workbook import NOON, pair, table, written

SYDNEY, BERLIN = "Australia/Sydney", "Europe/Berlin"
ROOT = Path(__file__).parents[3]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_times_and_days_are_on_the_digests_clock_which_the_sheets_name(tmp_path: Path) -> None:
    received = at("2026-11-30 23:04")
    book = written(
        tmp_path, pair(received_at=received, due_at=received + timedelta(hours=4)), now=received, zone=SYDNEY
    )
    head, row = book["Tickets"].iter_rows(values_only=True)
    found = dict(zip(head, row, strict=True))
    assert (found["Received"], found["Due"]) == (datetime(2026, 12, 1, 10, 4), datetime(2026, 12, 1, 14, 4))
    notes = {cell.value: cell.comment.text for cell in book["Tickets"][1] if cell.comment}
    assert notes == dict.fromkeys(("Received", "Due"), "Times and days are those of Australia/Sydney.")
    assert book["Summary"]["A2"].value == ("As of 2026-12-01 10:04 AEDT. Times and days are those of Australia/Sydney.")
    assert [row[0] for row in table(book["Summary"], "Tickets by day received")] == [datetime(2026, 12, 1)]


def test_a_day_of_23_or_25_hours_is_one_day(tmp_path: Path) -> None:
    """Berlin's days at the two changes of 2026: of 29 March at 22:59, of 25 October at 23:59."""
    moments = ["2026-03-28 22:59", "2026-03-28 23:00", "2026-03-29 21:59", "2026-03-29 22:00"]
    rows = [pair(received_at=at(moment)) for moment in moments]
    days = [row[:3:2] for row in table(written(tmp_path, *rows, zone=BERLIN)["Summary"], "Tickets by day received")]
    assert days == [(datetime(2026, 3, 28), 1), (datetime(2026, 3, 29), 2), (datetime(2026, 3, 30), 1)]
    moments = ["2026-10-24 21:59", "2026-10-24 22:00", "2026-10-25 22:59", "2026-10-25 23:00"]
    rows = [pair(received_at=at(moment)) for moment in moments]
    days = [row[:3:2] for row in table(written(tmp_path, *rows, zone=BERLIN)["Summary"], "Tickets by day received")]
    assert days == [(datetime(2026, 10, 24), 1), (datetime(2026, 10, 25), 2), (datetime(2026, 10, 26), 1)]


@pytest.mark.parametrize("name", ["digest", "run"])
def test_a_digests_and_a_runs_workbook_go_by_digest_timezone(db: Database, config: Settings, name: str) -> None:
    config = replace(config, digest_timezone="Asia/Kolkata")
    ticket_id = due_ticket(db)
    settle(db, ticket_id)
    with db.write() as session:
        if name == "run":
            claimed = one_shot_runs.claim(session, [ticket_id], config.envelope, NOON)
        else:
            claimed = digests.claim(session, "slot", config.envelope, datetime.now(UTC))
    assert claimed
    send.build_workbook(db, config, claimed)
    path = digests.workbook_path(config.data_dir, claimed.id)
    sheet: Any = openpyxl.load_workbook(path)["Summary"]
    assert "IST. Times and days are those of Asia/Kolkata." in sheet["A2"].value


def _mail(config: Settings, folder: Path, **fields: Any) -> dict[str, str]:
    summary = Summary()
    summary.add(*pair(due_at=NOON - timedelta(hours=1)), NOON)
    summary.add(*pair(), NOON)
    made = Digest(id=7, name="digest", created_at=NOON, message_id="<1@example.com>", recipients=[], **fields)
    (folder / "w.xlsx").write_bytes(b"PK")
    message = mail.compose(config, made, Content(summary), Attachment(folder / "w.xlsx", "w.xlsx"))
    return {kind: str(message.get_body((kind,)).get_content()) for kind in ("plain", "html")}  # type: ignore[union-attr]


def test_a_mail_names_its_clock_in_full(config: Settings, tmp_path: Path) -> None:
    for text in _mail(replace(config, digest_timezone="America/Chicago"), tmp_path).values():
        assert "2025-12-05 06:00 CST (America/Chicago)" in text
    for text in _mail(config, tmp_path).values():
        assert "2025-12-05 12:00 UTC" in text
        assert "(UTC)" not in text


BROKEN = re.compile(r"breach|overdue|überschritten|dépass|incumpl|ultrapass", re.IGNORECASE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_past_its_due_date_is_past_due_and_grey(config: Settings, tmp_path: Path, language: str) -> None:
    name = words(language)["sla"]["past_due"]
    for text in _mail(replace(config, digest_language=language), tmp_path).values():
        assert name in text
        assert not BROKEN.search(text)
        assert "#b91c1c" not in text
    late = pair(due_at=NOON - timedelta(hours=1))
    book = written(tmp_path, late, language=language)
    row = {head.value: cell for head, cell in zip(book.worksheets[0][1], book.worksheets[0][2], strict=True)}
    assert row[words(language)["columns"]["Due"]].font.color.rgb.endswith(cells.SOFT)
    said = [str(cell.value) for sheet in book.worksheets for row in sheet.iter_rows() for cell in row]
    assert name in said
    assert not any(BROKEN.search(text) for text in said)
    summary = book.worksheets[1]
    colours = {str(cell.font.color.rgb)[2:] for row in summary.iter_rows() for cell in row if cell.font.color}
    assert cells.BAD_TEXT not in colours


def test_nothing_we_say_calls_a_ticket_breached() -> None:
    places = [ROOT / "README.md", ROOT / ".env.example", *ROOT.glob("docs/**/*.md")]
    for folder in ("jobs", "receiver", "demo"):
        places += [path for kind in ("py", "html", "txt", "yaml", "css") for path in (ROOT / folder).rglob(f"*.{kind}")]
    # A breach of data is a request type's keyword, and an overdue account a model's provider's.
    about_others = {"catalog.yaml", "error_causes.py"}
    said = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in places
        if path.name not in about_others
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"breach|overdue", line, re.IGNORECASE)
    ]
    allowed = [
        'receiver/web/dashboard/tickets.py: _FORMER = {"breached": sla.PAST_DUE}',
        "receiver/lib/sla.py: # Past due, not breached: whether a ticket is solved by now only its helpdesk knows.",
    ]
    assert [line for line in said if line not in allowed] == []


def test_a_mail_without_every_ticket_classified_does_not_say_so(config: Settings, tmp_path: Path) -> None:
    summary = Summary()
    summary.add(*pair(), NOON)
    summary.add(pair()[0], None, NOON)
    made = Digest(id=7, name="digest", created_at=NOON, message_id="<1@example.com>", recipients=[])
    (tmp_path / "w.xlsx").write_bytes(b"PK")
    message: Any = mail.compose(config, made, Content(summary), Attachment(tmp_path / "w.xlsx", "w.xlsx"))
    text = message.get_body(("plain",)).get_content()
    assert "1 ticket was attributed to the service catalog." in text
    assert "Not classified: 1" in text
    assert classification(1).category in text
