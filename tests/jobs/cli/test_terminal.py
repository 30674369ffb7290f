"""What commands and logs print of others' words: it never steers the terminal of whoever reads it."""

import logging

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli import main
from receiver.db import audit
from receiver.db.database import Database
from receiver.lib import log
from receiver.lib.clock import now

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r"


def test_the_audit_is_listed_without_obeying_it(db: Database) -> None:
    with db.write() as session:
        audit.note(session, f"eve{HOSTILE}", "change name", "person 1", now(), {"to": HOSTILE})
    listed = CliRunner().invoke(main, ["audit"]).stdout
    assert not set(HOSTILE) & set("\x1b\x07\x9b\u202e\r") & set(listed)
    assert r"eve\x1b]0;owned\x07" in listed


def test_a_log_line_names_what_others_wrote_without_obeying_it(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        log.configure("INFO")
        logging.getLogger("jobs").warning("The source %s is unknown", HOSTILE)
        told = capsys.readouterr().err
    finally:
        root.handlers[:], root.level = before[0], before[1]
    assert r"\x1b[2J" in told
    assert "\x1b" not in told


@given(st.text())
def test_what_is_printed_has_no_control_character_but_lines_and_tabs(text: str) -> None:
    shown = log.printable(text)
    assert all(sign in "\n\t" or sign.isprintable() or ord(sign) > 0xA0 - 1 for sign in shown)
    assert log.printable(shown) == shown
    shown.encode()
