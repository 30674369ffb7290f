"""The commands about sources, against a receiver that runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from jobs.__main__ import main
from receiver import queue
from receiver.db.database import Database
from receiver.db.models import Delivery, OutgoingCall, Ticket
from receiver.intake import samples, sources
from receiver.lib.settings import Settings
from receiver.web.app import create_app
from tests.factories import deliver, incoming
from tests.receiver.intake.sources import desks


@contextmanager
def _running(config: Settings) -> Iterator[Settings]:
    """A receiver on a free port."""
    server = make_server("127.0.0.1", 0, create_app(config), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield replace(config, port=server.server_port)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def running(config: Settings, db: Database, environment: pytest.MonkeyPatch) -> Iterator[Settings]:
    with _running(desks.settings_for(config)) as live:
        for name, value in (
            ("SOURCES_FILE", live.sources_file),
            ("WEBHOOK_SECRET", desks.WEBHOOK_SECRET),
            ("PUBLIC_URL", desks.PUBLIC),
            ("PORT", str(live.port)),
        ):
            environment.setenv(name, value or "")
        yield live


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sources", *arguments])


def test_every_source_takes_the_sample_of_its_own_profile_and_keeps_nothing_of_it(
    running: Settings, db: Database
) -> None:
    for name in desks.NAMES:
        result = _run("test", name)
        assert (result.exit_code, "A delivery like it is a ticket." in result.output) == (0, True), (
            name,
            result.output,
        )
        assert "TEST SAMPLE" in result.output
    assert _rows(db) == 0


def _rows(db: Database) -> int:
    with db.read() as session:
        return sum(session.query(table).count() for table in (Delivery, Ticket, OutgoingCall))


def test_a_sample_asks_no_helpdesk_and_wakes_nobody(
    config: Settings, db: Database, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, body = tmp_path / "sources.yaml", tmp_path / "mine.json"
    entry = f"profile: zendesk, secrets: [{desks.SECRET}], api: {{url: 'http://127.0.0.1:9', user: u, token: t}}"
    file.write_text(f"sources: {{thin: {{{entry}, write_back: {{labels: [x]}}}}}}")
    body.write_text('{"id": 7, "short_description": "VPN down"}')
    environment.setenv("SOURCES_FILE", str(file))
    with _running(replace(config, sources_file=str(file))) as live:
        environment.setenv("PORT", str(live.port))
        found = [_run("test", "thin"), _run("test", "thin", "--body", str(body))]
    assert [result.exit_code for result in found] == [0, 0], [result.output for result in found]
    assert _rows(db) == 0
    with queue.connect(config.redis_url) as connection:
        assert queue.depths(connection)[queue.CLASSIFY] == 0


def test_the_list_tells_proof_address_and_last_delivery(running: Settings, db: Database) -> None:
    deliver(db, incoming(), source="zammad")
    result = _run()
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert set(lines) == {"SOURCE", *desks.NAMES}
    assert "https://hooks.example.com/webhooks/zammad" in lines["zammad"]
    assert lines["zammad"].endswith("accepted")
    assert lines["github"].endswith("none yet")
    assert " credential " in lines["freshdesk"]
    assert desks.SECRET not in result.output


def test_the_list_shows_what_is_unsigned_and_what_has_ended(
    config: Settings, db: Database, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = f"{{profile: github, secrets: [{{secret: {desks.SECRET}, until: 2020-01-01}}]}}"
    (tmp_path / "sources.yaml").write_text(f"sources: {{open: {{profile: token, unsigned: true}}, old: {ended}}}")
    environment.setenv("SOURCES_FILE", str(tmp_path / "sources.yaml"))
    lines = {line.split()[0]: line for line in _run().output.splitlines()}
    assert "UNSIGNED" in lines["open"]
    assert "every secret has ended" in lines["old"]
    assert "every secret of old has ended" in _run("test", "old").output


def test_a_sample_that_cannot_be_sent_says_why(running: Settings, environment: pytest.MonkeyPatch) -> None:
    result = _run("test", "nobody")
    assert result.exit_code == 1
    assert "there are" in result.output
    environment.setenv("PORT", "1")
    result = _run("test", "zammad")
    assert result.exit_code == 1
    assert "python -m jobs up" in result.output


def test_fields_of_ones_own_are_tried_with_a_body_of_ones_own(
    config: Settings, db: Database, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, body = tmp_path / "sources.yaml", tmp_path / "mine.json"
    fields = "{id: ticket.nr, short_description: ticket.subject}"
    file.write_text(f"sources: {{own: {{profile: hmac, secrets: [{desks.SECRET}], fields: {fields}}}}}")
    body.write_text('{"ticket": {"nr": 7, "subject": "VPN down"}}')
    environment.setenv("SOURCES_FILE", str(file))
    with _running(replace(config, sources_file=str(file))) as live:
        environment.setenv("PORT", str(live.port))
        without, first, again = _run("test", "own"), *(_run("test", "own", "--body", str(body)) for _ in range(2))
    assert (without.exit_code, "is no ticket" in without.output, "--body" in without.output) == (1, True, True)
    assert [first.exit_code, again.exit_code] == [0, 0]
    assert "external_id: 7, short_description: VPN down" in first.output
    assert "cannot be read" in _run("test", "own", "--body", str(tmp_path / "none.json")).output
    assert _rows(db) == 0


def test_a_sample_that_is_refused_is_no_success(running: Settings, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WEBHOOK_SECRET", "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=")
    result = _run("test", "standard")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-2].startswith("401 ")


def test_a_sample_of_somebody_elses_is_refused_and_not_recorded(
    running: Settings, db: Database, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("API_TOKEN", "another-token-" * 4)
    result = _run("test", "zammad")
    assert (result.exit_code, "another API_TOKEN" in result.output) == (1, True)
    assert _rows(db) == 0


def test_a_source_is_tried_without_the_network_too(running: Settings, db: Database) -> None:
    for name, source in sources.configured(running).items():
        trial = samples.attempt(db, source, running)
        assert (trial.refused, trial.is_ticket) == (None, True), name
        assert "TEST SAMPLE" in trial.tickets[0]["short_description"]
    broken = samples.attempt(db, source, running, b'{"id": ')
    assert broken.outcome and broken.outcome["error"]
    assert not broken.is_ticket
    assert _rows(db) == 0


def test_the_pages_are_written_where_one_says(tmp_path: Path) -> None:
    assert _run("docs", str(tmp_path / "pages")).exit_code == 0
    assert {path.stem for path in (tmp_path / "pages").iterdir()} == {*sources.profiles.shipped(), "README"}
