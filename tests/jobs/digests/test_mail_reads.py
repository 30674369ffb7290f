"""The mail as its readers have it: in Gmail, in Outlook, on a phone, and where pictures or HTML are not shown."""

import re
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from lxml import html as markup  # type: ignore[import-untyped]

from jobs.digests import mail
from jobs.digests.mail import Attachment, Content
from receiver.db.models import Digest
from receiver.lib.settings import LANGUAGES, Settings
from tests.jobs.digests.test_mail import composed, part, received, summed
from tests.jobs.digests.test_workbook import NOON, ticket

FRAME = {"html", "head", "body", "meta", "title", "style", "table", "tr", "td", "th", "div", "p", "h1", "h2", "span"}
ALLOWED = FRAME | {"a", "br", "img"}


def alert(config: Settings, count: int = 2, **fields: Any) -> EmailMessage:
    named = [ticket(id=n + 1, short_description=f"Subject {n}", due_at=NOON + timedelta(hours=n)) for n in range(count)]
    values = {
        "id": 3,
        "name": "alert",
        "created_at": NOON,
        "message_id": "<a@example.com>",
        "tickets": count,
    } | fields
    return mail.compose_alert(config, Digest(recipients=["lead@example.com"], **values), named)


@pytest.fixture
def public(config: Settings) -> Settings:
    return replace(config, public_url="https://desk.example.com/", codebase_link="https://code.example.com/repo")


@pytest.mark.parametrize("kind", ["digest", "alert"])
def test_every_mail_program_can_show_it(public: Settings, tmp_path: Path, kind: str) -> None:
    shown = part(received(composed(public, tmp_path) if kind == "digest" else alert(public)), "html")
    page = markup.fromstring(shown)
    assert {element.tag for element in page.iter() if isinstance(element.tag, str)} <= ALLOWED
    # Gmail cuts what is longer than 102 KB, and Outlook knows no style but an element's own.
    assert len(shown.encode()) < 40_000
    assert all(cell.get("style") for cell in page.xpath("//td[normalize-space(text())]"))
    assert [address for address in page.xpath("//@src | //@background") if not address.startswith("cid:")] == []
    assert re.findall(r"url\(|@import", shown) == []
    known = ("https://desk.example.com/", "https://code.example.com/repo")
    assert [address for address in page.xpath("//@href") if not address.startswith(known)] == []


def test_the_chart_is_in_the_mail_and_said_in_words(public: Settings, tmp_path: Path) -> None:
    message = received(composed(public, tmp_path))
    [picture] = [inner for inner in message.walk() if inner.get_content_type() == "image/png"]
    [shown] = markup.fromstring(part(message, "html")).xpath("//img")
    assert shown.get("src") == f"cid:{picture['Content-ID'].strip('<>')}"
    assert picture.get_content_disposition() == "inline"
    assert picture.get_content().startswith(b"\x89PNG")
    assert "Network & Connectivity 3, Hardware 2" in shown.get("alt")
    assert message.get_body(("plain",)) is not None


def test_answers_go_where_they_are_read_and_the_list_has_its_name(public: Settings, tmp_path: Path) -> None:
    config = replace(public, reply_to=("ada@example.com", "bo@example.com"), from_email="desk@example.com")
    for message in (received(composed(config, tmp_path)), received(alert(config))):
        assert [to.addr_spec for to in message["Reply-To"].addresses] == ["ada@example.com", "bo@example.com"]
    assert received(composed(config, tmp_path))["List-Id"] == "<digest.digests.example.com>"
    assert received(alert(config))["List-Id"] == "<alert.digests.example.com>"


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_what_is_too_large_is_linked_or_kept(public: Settings, tmp_path: Path, kind: str) -> None:
    (tmp_path / "large.xlsx").write_bytes(b"PK" * (2**20))
    digest = Digest(id=7, name="digest", created_at=NOON, message_id="<d@example.com>", recipients=[])
    for config, expected in (
        (replace(public, max_attachment_mb=1), "https://desk.example.com/api/digests/7/workbook"),
        (replace(public, max_attachment_mb=1, public_url=None), "digest 7"),
    ):
        large = Attachment(tmp_path / "large.xlsx", "report.xlsx")
        message = received(mail.compose(config, digest, Content(summed()), large))
        assert list(message.iter_attachments()) == []
        assert "2 MB" in part(message, kind)
        assert expected in part(message, kind)


def test_a_copy_says_so_and_the_change_is_against_the_digest_before(public: Settings, tmp_path: Path) -> None:
    (tmp_path / "w.xlsx").write_bytes(b"PK")
    digest = Digest(id=8, name="digest", created_at=NOON, message_id="<d@example.com>", recipients=[], copy_of=7)
    first = Digest(id=7, created_at=NOON - timedelta(days=1))
    content = Content(summed(), before=10, copy_of=first)
    message = received(mail.compose(public, digest, content, Attachment(tmp_path / "w.xlsx", "r.xlsx")))
    assert message["Subject"].startswith("Copy: ")
    for kind in ("plain", "html"):
        assert "−4 against the last digest" in part(message, kind)
        assert f"copy of the digest of {NOON - timedelta(days=1):%Y-%m-%d}" in part(message, kind)


def test_an_alert_names_what_is_due_and_says_how_much_more(public: Settings) -> None:
    message = received(alert(public, tickets=9))
    for kind in ("plain", "html"):
        text = part(message, kind)
        assert text.index("Subject 0") < text.index("Subject 1")
        assert "https://desk.example.com/tickets/1" in text
        assert "and 7 more" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_written_in_the_readers_language(public: Settings, tmp_path: Path, language: str) -> None:
    message = received(composed(replace(public, digest_language=language), tmp_path))
    shown = markup.fromstring(part(message, "html"))
    assert shown.get("lang") == language
    told = {"en": "need review", "de": "prüfen", "fr": "vérifier", "es": "revisar", "pt": "rever"}[language]
    assert told in message["Subject"]
