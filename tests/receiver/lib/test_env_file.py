"""The file .env: read as it is written, or one line says what to do."""

from pathlib import Path

import pytest

from receiver.lib import settings
from receiver.lib.settings import SettingsError

WRITTEN = "# Größe\nSENDER_NAME=Süd\nSMTP_USERNAME=desk\nSMTP_PASSWORD='pa${NOPE}x$HOME'\n"


@pytest.fixture
def place(environment: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("SENDER_NAME", "SMTP_USERNAME", "SMTP_PASSWORD", "FROM_NAME", "PORT"):
        environment.delenv(name)
    return tmp_path / ".env"


def _told(place: Path, data: bytes) -> str:
    place.write_bytes(data)
    with pytest.raises(SettingsError) as refused:
        settings.load()
    [line] = str(refused.value).splitlines()
    assert line.startswith(".env")
    assert "planted" not in line
    return line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_it_is_read_in_the_encodings_that_editors_and_shells_write(place: Path, encoding: str, end: str) -> None:
    place.write_bytes(WRITTEN.replace("\n", end).encode(encoding))
    found = settings.load()
    assert (found.sender_name, found.smtp_password) == ("Süd", "pa${NOPE}x$HOME")


def test_another_encoding_is_told_with_its_line_and_only_where_it_matters(place: Path) -> None:
    line = _told(place, "FROM_NAME=x\nSENDER_NAME=planted Süd\n".encode("cp1252"))
    assert "line 2" in line
    assert "save the file as UTF-8" in line
    place.write_bytes(b"# Gr\xf6\xdfe\nSENDER_NAME=South\n")
    assert settings.load().sender_name == "South"


def test_half_of_a_utf_16_file_is_told(place: Path) -> None:
    assert "UTF-16" in _told(place, WRITTEN.encode("utf-16")[:-1])


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("pa${NOPE}x", "pa${NOPE}x"),
        ("'pa${NOPE}x'", "pa${NOPE}x"),
        ('"pa$NOPE x"', "pa$NOPE x"),
        ("$$twice", "$$twice"),
        ("a#b=c", "a#b=c"),
        ("'a #b'", "a #b"),
        ("${SMTP_USERNAME}", "${SMTP_USERNAME}"),
        ("'it\\'s'", "it's"),
    ],
)
def test_a_password_is_what_is_written(place: Path, written: str, password: str) -> None:
    place.write_text(f"SMTP_USERNAME=desk\nSMTP_PASSWORD={written}\n")
    assert settings.load().smtp_password == password


def test_a_quote_that_does_not_end_is_told_with_its_line(place: Path) -> None:
    line = _told(place, b"SMTP_USERNAME=desk\nSMTP_PASSWORD='planted\n")
    assert "line 2" in line
    assert "SMTP_PASSWORD" in line


def test_a_line_that_names_nothing_is_told(place: Path) -> None:
    assert "line 2" in _told(place, b"SENDER_NAME=x\n= planted\n")


def test_a_folder_is_told(place: Path) -> None:
    place.mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        settings.load()


def test_a_name_that_is_nearly_one_of_ours_is_told(place: Path, environment: pytest.MonkeyPatch) -> None:
    place.write_text("SMTP_PASWORD=x\nsmtp_host=mail\nCOMPOSE_PROJECT_NAME=x\nMY_APP=1\n")
    environment.setenv("DATABSE_URL", "x")
    environment.setenv("HOSTNAME", "x")
    told = "\n".join(settings.misspelled())
    for wrong, right in (
        ("SMTP_PASWORD", "SMTP_PASSWORD"),
        ("smtp_host", "SMTP_HOST"),
        ("DATABSE_URL", "DATABASE_URL"),
    ):
        assert f"{wrong} is no setting of ours and is not read; {right} may be meant" in told
    assert len(told.splitlines()) == 3
