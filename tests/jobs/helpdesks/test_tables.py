"""Tables as people export them: read where that is certain, and else told what was found and what counts."""

import io
import logging
import time
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs.digests.translations import LANGUAGES
from jobs.digests.workbook import Look, build
from jobs.helpdesks import pull, tables
from jobs.helpdesks.pull import PullError
from receiver.intake.sources import standard
from receiver.lib.spreadsheet import as_csv, as_xlsx, escaped, unescaped
from tests.factories import classification
from tests.jobs.digests.test_workbook import NOON, ticket
from tests.jobs.helpdesks.test_pull import edited, file_complaint, read, workbook_of
from tests.properties import tries

TWO = [{"id": "1", "short_description": "Größe; „laut“"}, {"id": "2", "short_description": "a, b\r\n| c"}]


def two(separator: str) -> str:
    return separator.join(["ID", "Betreff"]) + f'\r\n1{separator}"Größe; „laut“"\r\n2{separator}"a, b\r\n| c"\r\n'


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_every_usual_separator_and_encoding_is_read(tmp_path: Path, separator: str, encoding: str) -> None:
    assert read(tmp_path / "a.csv", two(separator).encode(encoding)) == TWO


@pytest.mark.parametrize("line", ["sep=;\r\n", "SEP=;\n", '"sep=;"\r\n', "\ufeffsep=;\r\n"])
def test_a_separator_that_the_file_names_is_the_separator(tmp_path: Path, line: str) -> None:
    assert read(tmp_path / "a.csv", (line + two(";")).encode()) == TWO


def test_a_separator_of_the_files_own_is_read_where_it_names_it(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", b"sep=^\nid^subject\n1^VPN, again\n") == [
        {"id": "1", "short_description": "VPN, again"}
    ]


@pytest.mark.parametrize("title", ["Tickets of the IT Service Desk", "Tickets;All;2025-12-05", '"Report, ""new"""'])
def test_titles_and_blank_rows_may_stand_above_the_header(tmp_path: Path, title: str) -> None:
    body = f"{title}\n\n;;\n{two(';')};\n\n"
    assert read(tmp_path / "a.csv", body.encode()) == TWO
    rows: list[list[Any]] = [[title], [], [None, None, 2025], [None, "Ticket ID", "Subject"], [None, 4711.0, "VPN"], []]
    assert read(tmp_path / "a.xlsx", workbook_of(rows)) == [{"id": "4711", "short_description": "VPN"}]


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("Ticket ID,Subject,Description,Requester Email", "1 S D ada@example.com"),
        ("ticketId,shortDescription,longDescription,requesterEmail", "1 S D ada@example.com"),
        ("Number,Short description,Details,E-Mail", "1 S D ada@example.com"),
        ("Issue key,Summary,Description,Reporter", "1 S D ada@example.com"),
        ("#,Title,Body,From", "1 S D ada@example.com"),
        ("  REQUEST_ID , short-description ,Long.Description,EMAIL", "1 S D ada@example.com"),
        ("Anfrage-ID,Kurzbeschreibung,Beschreibung,E-Mail", "1 S D ada@example.com"),
    ],
)
def test_columns_go_by_the_names_that_helpdesks_give_them(tmp_path: Path, header: str, taken: str) -> None:
    [item] = read(tmp_path / "a.csv", f"{header}\n1,S,D,Ada <ada@example.com>\n".encode())
    assert " ".join(item.values()) == taken


def test_of_several_names_the_most_telling_counts(tmp_path: Path) -> None:
    body = b"Issue id,Issue key,Summary,Status,Status\n10001,IT-1,VPN,Open,Done\n"
    assert read(tmp_path / "a.csv", body) == [{"id": "IT-1", "short_description": "VPN"}]


def test_a_column_that_is_there_twice_must_not_contradict_itself(tmp_path: Path) -> None:
    same = b"id,Subject,Subject\n1,VPN,\n2,,Mail\n3,Fan,Fan\n"
    assert [item["short_description"] for item in read(tmp_path / "a.csv", same)] == ["VPN", "Mail", "Fan"]
    text = file_complaint(tmp_path / "b.csv", b"id,Subject,Subject\n1,VPN,Mail\n")
    assert "row 2: columns B and C are both named 'Subject'" in text
    assert "VPN" not in text


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (
            "Nummer;Kurztext\n1;VPN",
            ["UTF-8, separated by semicolons", "row 1", "Nummer, Kurztext", "id (or request_id"],
        ),
        ("Number\tKurztext\n1\tVPN", ["separated by tabs", "lacks short_description"]),
        ("Ada's laptop was stolen from the car yesterday;ada@example.com\n", ["2 columns: …, …"]),
        ("x" * 1_000_000 + ";" * 100_000, ["it lacks id and short_description"]),
        ("", ["no rows", "short_description (or subject"]),
        ("id,subject\n1,VPN, again\n", ["row 2 has 3 cells", "quotation marks"]),
        ('id,subject\n\n1,"VPN" again\n', ["row 3 (line 3)", "quotation mark"]),
        ("id,subject\n1,VPN\n4.71E+15,Mail\n", ["row 3", "4.71E+15", "as text"]),
    ],
)
def test_what_is_not_read_is_told_with_what_was_found(tmp_path: Path, body: str, parts: list[str]) -> None:
    text = file_complaint(tmp_path / "a.csv", body.encode())
    assert [part for part in parts if part not in text] == []
    assert not any(part in text for part in ("stolen", "VPN", "ada@"))


@pytest.mark.parametrize(
    ("name", "body", "part"),
    [
        ("a.csv", "номер,тема\n1,Не работает принтер".encode("cp1251"), "save it as UTF-8"),
        ("a.csv", "id,subject\n1,プリンターが動きません".encode("shift-jis"), "save it as UTF-8"),
        ("a.csv", b"\xff\xfei\x00d\x00,\x00\x00\xd8", "line 1"),
        ("a.csv", workbook_of([["id"]]), "name it .xlsx"),
        ("a.csv", b"\xef\xbb\xbf <html><table><tr><td>id</td>", "HTML"),
        ("a.xlsx", b"<?xml version='1.0'?><Workbook>", "HTML or XML"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "password"),
        ("a.xlsx", workbook_of([["Nummer", "Kurztext"], [1, "VPN"]]), "Nummer, Kurztext"),
    ],
)
def test_a_file_of_another_kind_is_told_apart(tmp_path: Path, name: str, body: bytes, part: str) -> None:
    assert part in file_complaint(tmp_path / name, body)


def test_what_is_said_of_a_reading_holds_no_ticket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    body = "Ticket #;Betreff;Von;Erstellt;Created\n7;VPN;Ada Lovelace;x;soon\n".encode("cp1252")
    [item] = read(tmp_path / "a.csv", body.replace(b"Von", b"From"))
    assert item == {"id": "7", "short_description": "VPN"}
    assert "Windows-1252" not in caplog.text  # It is all ASCII.
    assert (
        "separated by semicolons, header in row 1: id from 'Ticket #', short_description from 'Betreff'" in caplog.text
    )
    assert "in 1 rows requester_email is not an address" in caplog.text
    assert "in 1 rows created_at is not a time that is certain" in caplog.text
    assert "Ada" not in caplog.text


@pytest.mark.parametrize(
    ("ids", "read_as"),
    [
        (["4711.0", "4712.0"], ["4711", "4712"]),
        (["1.0", "1.1"], ["1.0", "1.1"]),
        (['="007"', " 8 "], ["007", "8"]),
        (["007", "1E5"], ["007", "1E5"]),
    ],
)
def test_an_id_is_what_the_helpdesk_calls_it(tmp_path: Path, ids: list[str], read_as: list[str]) -> None:
    body = "".join(f"{name};x\n" for name in ["id;subject", *ids]).replace("id;subject;x", "id;subject")
    assert [item["id"] for item in read(tmp_path / "a.csv", body.encode())] == read_as


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        (["2025-12-05 15:30"], ["2025-12-05T14:30"]),
        (["2025-12-05T15:30:00Z"], ["2025-12-05T15:30"]),
        (["5.12.2025 15:30:10", "5.7.25, 9:05"], ["2025-12-05T14:30", "2025-07-05T07:05"]),
        (["05/12/2025 3:30 PM", "13/12/2025"], ["2025-12-05T14:30", "2025-12-12T23:00"]),
        (["12/05/2025 12:10 am", "12/13/2025"], ["2025-12-04T23:10", "2025-12-12T23:00"]),
        (["05/Dec/25 3:30 PM", "5-Dec-2025"], ["2025-12-05T14:30", "2025-12-04T23:00"]),
        (["05/12/2025", "06/06/2025"], [None, "2025-06-05T22:00"]),
        (["13/12/2025", "12/13/2025"], [None, None]),
        (["tomorrow", "31.02.2025", "0", "99999999"], [None, None, None, None]),
        (["0001-01-01", "9999-12-31 23:59"], [None, "9999-12-31T22:59"]),
    ],
)
def test_times_are_on_the_clock_of_the_zone_and_never_guessed(
    written: list[str], utc: list[str | None], tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id;subject;created\n" + "".join(f"{n};x;{text}\n" for n, text in enumerate(written)))
    found = standard.validate(pull.from_file(path, "Europe/Berlin").items).tickets
    at = [one.source_created_at for one in found]
    assert [moment.strftime("%Y-%m-%dT%H:%M") if moment else None for moment in at] == utc


def test_a_row_that_is_no_ticket_is_named_by_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Report\n\nid;subject\n1;VPN\n\nTotal: 1 ticket\n")
    batch = pull.from_file(path)
    [fault] = standard.validate(batch.items).rejected
    assert batch.place(fault["index"]) == "row 6"


def test_a_header_that_is_repeated_on_every_page_is_no_ticket(tmp_path: Path) -> None:
    body = b"id;subject\n1;VPN\nid;subject\n2;Mail\n"
    assert [item["id"] for item in read(tmp_path / "a.csv", body)] == ["1", "2"]


def test_a_nul_costs_the_ticket_it_is_in(tmp_path: Path) -> None:
    items = read(tmp_path / "a.csv", b"id;subject\n1;V\x00PN\n2;Gr\xc3\xb6\xc3\x9fe\n")
    content = standard.validate(items)
    assert [found.short_description for found in content.tickets] == ["Größe"]
    assert [fault["id"] for fault in content.rejected] == ["1"]


def test_an_id_that_a_workbook_shows_with_leading_zeros_keeps_them(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.append(["Number", "Title"])
    for number, form in ((7, "000000"), (8, "General"), (9, "0")):
        sheet.append([number, "VPN"])
        sheet.cell(sheet.max_row, 1).number_format = form
    found = io.BytesIO()
    book.save(found)
    assert [item["id"] for item in read(tmp_path / "a.xlsx", found.getvalue())] == ["000007", "8", "9"]


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("ada@example.com", "ada@example.com"),
        ("Lovelace, Ada <ada@example.com>", "ada@example.com"),
        ("mailto:ada@example.com; bo@example.com", "ada@example.com"),
        ("Ada Lovelace", None),
        ("<" * 100_000 + "@", None),
    ],
)
def test_of_several_addresses_the_first_is_the_requesters(tmp_path: Path, said: str, address: str | None) -> None:
    [item] = read(tmp_path / "a.csv", f'id;subject;Requester\n1;VPN;"{said}"\n'.encode())
    assert item.get("requester_email") == address


def test_the_first_sheet_with_a_header_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book["Sheet"].append(["About this report"])
    for title, name in (("Open", "VPN"), ("Closed", "Mail")):
        sheet: Any = book.create_sheet(title)
        sheet.append(["Key", "Summary"])
        sheet.append([f"IT-{len(name)}", name])
    found = io.BytesIO()
    book.save(found)
    assert read(tmp_path / "a.xlsx", found.getvalue()) == [{"id": "IT-3", "short_description": "VPN"}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_our_own_workbook_is_read_back_in_every_language(tmp_path: Path, language: str) -> None:
    path = tmp_path / "report.xlsx"
    build(path, [(ticket(external_id="T-1"), classification(1))], NOON, Look(language=language))
    [item] = pull.from_file(path).items
    assert item.keys() == {"id", "short_description", "long_description", "requester_email"}


@pytest.mark.parametrize(("write", "suffix"), [(as_csv, ".csv"), (as_xlsx, ".xlsx")])
def test_our_own_export_is_read_back(tmp_path: Path, write: Any, suffix: str) -> None:
    rows = [("Ticket", "Source", "Subject", "Requester"), ("T-1", "zendesk", "_x0041_ über", "ada@example.com")]
    assert read(tmp_path / f"a{suffix}", b"".join(write(rows))) == [
        {"id": "T-1", "short_description": "_x0041_ über", "requester_email": "ada@example.com"}
    ]


SHARED = (
    b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>id</t></si><si><t>subject</t></si>'
    b"<si><t>_x005F_x000D_ a_x000A_b x005F_ _x00e9_ _x12_ _xD83D_</t></si></sst>"
)


def test_a_workbook_of_excel_is_decoded_as_excel_does(tmp_path: Path) -> None:
    """Excel keeps texts in a part of its own, which openpyxl reads but does not write."""
    sheet = (
        b'<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
        b'<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="s"><v>2</v></c></row>'
    )
    body = edited(workbook_of([]), "xl/worksheets/sheet1.xml", b"</sheetData>", sheet + b"</sheetData>")
    kind = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    part = b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + kind + b'"/></Types>'
    found = io.BytesIO(edited(body, "[Content_Types].xml", b"</Types>", part))
    with zipfile.ZipFile(found, "a") as book:
        book.writestr("xl/sharedStrings.xml", SHARED)
    assert read(tmp_path / "a.xlsx", found.getvalue())[0]["short_description"] == (
        "_x000D_ a\nb x005F_ é _x12_ _xD83D_"
    )


@given(st.text(st.sampled_from("_x05FfD0A1 ü"), max_size=40))
def test_what_is_written_for_excel_is_what_excel_reads(text: str) -> None:
    assert unescaped(escaped(text)) == text


@hypothesis_settings(deadline=None, max_examples=tries(60))
@given(
    body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    suffix=st.sampled_from([".csv", ".json", ".jsonl"]),
)
def test_no_file_ends_in_a_traceback(body: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / f"any{suffix}"
    path.write_bytes(body)
    try:
        assert isinstance(pull.from_file(path).items, list)
    except PullError as error:
        assert path.name in str(error)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_json_is_read_in_every_encoding_that_programs_write(tmp_path: Path, encoding: str) -> None:
    one = '{"id": 1, "short_description": "Größe"}'
    assert read(tmp_path / "a.json", f"[{one}]".encode(encoding))[0]["short_description"] == "Größe"
    assert len(read(tmp_path / "a.jsonl", f"{one}\n{one}\n".encode(encoding))) == 2


@pytest.mark.parametrize("name", ["Ticket ID", "ticket_id", "TICKET-ID", "ticketId", "\ufeffTicket  Id ", "Ticket\nID"])
def test_a_column_is_known_however_its_name_is_spelt(name: str) -> None:
    assert tables.plain_name(name) == "ticket_id"


def test_a_workbook_that_unpacks_to_far_more_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.xlsx"
    rows = b"".join(b'<row r="%d"><c r="A%d"><v>1</v></c></row>' % (number, number) for number in range(3, 3_000))
    far = b'<row r="900000000"><c r="XFD900000000"><v>1</v></c></row>'
    for more, limit in ((rows, 1_000), (far, 1_000), (b" " * 3_000_000, 500_000)):
        monkeypatch.setattr(tables, "_MOST_ROWS", limit)
        monkeypatch.setattr(tables, "_MOST_UNPACKED", 2 * 2**20)
        path.write_bytes(b"".join(as_xlsx([("id", "subject"), ("1", "VPN")])))
        with zipfile.ZipFile(path) as packed:
            parts = {name: packed.read(name) for name in packed.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, part in parts.items():
                packed.writestr(name, part.replace(b"</sheetData>", more + b"</sheetData>"))
        began = time.thread_time()
        with pytest.raises(PullError, match="split the file"):
            pull.from_file(path)
        assert time.thread_time() - began < 10
