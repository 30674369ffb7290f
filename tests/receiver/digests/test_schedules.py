"""DIGESTS_FILE: what it may say, that every mistake is told at once, and when each digest comes next."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from jobs.digests import send, workbook
from receiver.db import alarms
from receiver.db.database import Database
from receiver.db.digest_filters import Filter
from receiver.db.models import TimetableEntry
from receiver.digests import schedules
from receiver.lib import secret_files, settings
from receiver.lib.settings import Settings, SettingsError
from receiver.web import state
from receiver.web.app import create_app
from tests.conftest import ROOT


def configured(tmp_path: Path, text: str, **environ: str) -> dict[str, schedules.Plan]:
    path = tmp_path / "digests.yaml"
    path.write_text(text)
    return schedules.configured(settings.load({"DIGESTS_FILE": str(path), **environ}))


def mistakes(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        configured(tmp_path, text, **environ)
    return str(caught.value)


def test_without_a_file_there_is_the_one_digest_of_the_settings() -> None:
    found = schedules.configured(
        settings.load({"DIGEST_CRON": "5 9 * * *", "DIGEST_TIMEZONE": "Asia/Tokyo", "RECIPIENT_EMAIL": "a@example.com"})
    )
    assert found == {"digest": schedules.Plan("digest", "5 9 * * *", "Asia/Tokyo", ("a@example.com",))}


def test_the_documented_example_says_what_it_means(tmp_path: Path) -> None:
    example = (ROOT / "docs" / "how-to" / "digests.md").read_text().split("```yaml\n")[1].split("```")[0]
    found = configured(tmp_path, example)
    assert list(found) == ["digest", "network-team", "soon-due"]
    assert found["digest"].only_with_news is False
    team = found["network-team"]
    assert (team.recipients, team.language, team.zone) == (("noc@example.com",), "es", "America/New_York")
    assert team.chosen == Filter(("Network & Connectivity",), status=("needs_review", "classified"))
    assert team.columns == ("Request ID", "Short Description", "Request Type", "Due")
    assert found["soon-due"].chosen == Filter(at_risk=True)


def test_what_is_left_out_is_as_the_settings_say(tmp_path: Path) -> None:
    [plan] = configured(tmp_path, "digests: [{name: x}]", RECIPIENT_EMAIL="a@b.com", DIGEST_LANGUAGE="fr").values()
    assert (plan.cron, plan.zone, plan.recipients, plan.language) == ("0 8 * * 1-5", "UTC", ("a@b.com",), "fr")
    assert plan.columns == schedules.COLUMNS == workbook.COLUMNS


def test_all_mistakes_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        """
digests:
  - {name: daily, cron: every day, zone: Mars/Base, recipients: nobody, colour: red}
  - {name: daily, filter: {status: open, at_risk: false, category: []}, columns: [Mood], language: tlh}
  - {name: run}
  - {name: twice, columns: [Due, Due]}
  - {name: twice}
  - weekly
""",
    )
    for line in (
        "digest 1 (daily): cron: ",
        "digest 1 (daily): zone: ",
        "digest 1 (daily): recipients: ",
        "digest 1 (daily): colour: ",
        "digest 2 (daily): filter.status: ",
        "digest 2 (daily): filter.at_risk: ",
        "digest 2 (daily): filter.category: ",
        "digest 2 (daily): columns.0: ",
        "digest 2 (daily): language: ",
        "digest 3 (run): name: ",
        "digest 4 (twice): columns: ",
        "digest 6: ",
    ):
        assert f"\n  {line}" in told


def test_two_digests_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "digest 2 (x): name: " in mistakes(tmp_path, "digests: [{name: x}, {name: x}]")


@pytest.mark.parametrize("text", ["", "digests: []", "digests: {}", "- x", "digests: [", "digests: &a [*a]", "\x00"])
def test_what_is_no_list_of_digests_is_refused_in_words(tmp_path: Path, text: str) -> None:
    assert "DIGESTS_FILE" in mistakes(tmp_path, text)


def test_a_name_twice_in_a_mapping_and_a_file_that_is_missing_are_refused(tmp_path: Path) -> None:
    assert "twice" in mistakes(tmp_path, "digests:\n- {name: x, name: y}")
    with pytest.raises(SettingsError, match="DIGESTS_FILE"):
        schedules.configured(settings.load({"DIGESTS_FILE": str(tmp_path / "nothing.yaml")}))


def test_with_a_mail_server_every_digest_has_recipients(tmp_path: Path) -> None:
    server = {"SMTP_HOST": "mail.example.com", "FROM_EMAIL": "desk@example.com"}
    assert "digest 1 (x): recipients: " in mistakes(tmp_path, "digests: [{name: x}]", **server)
    assert configured(tmp_path, "digests: [{name: x, recipients: a@example.com}]", **server)


def test_the_web_does_not_start_with_a_wrong_file(config: Settings, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DIGESTS_FILE", "nothing.yaml")
    with pytest.raises(SettingsError, match="DIGESTS_FILE"):
        create_app()


GOOD, OTHER, BAD = (f"digests: [{{name: {name}, recipients: a@example.com}}]" for name in ("one", "two", "{}"))


def test_a_changed_file_is_seen_by_all_and_of_a_wrong_one_the_last_good_one_serves(
    client: FlaskClient, db: Database, config: Settings, environment: pytest.MonkeyPatch
) -> None:
    path = Path("digests.yaml")
    environment.setenv("DIGESTS_FILE", str(path))
    state.of(client.application).context = replace(state.of(client.application).context, settings=settings.load())
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    for text, serving, alarm in [(GOOD, "one", 0), (BAD, "one", 1), (OTHER, "two", 0)]:
        path.write_text(text)
        send.send_due()
        assert client.post("/api/digests/preview", headers=headers).get_json()["name"] == serving
        with db.read() as session:
            assert [each.name for each in alarms.current(session)] == ["digests_file"] * alarm
            assert session.get(TimetableEntry, serving)
    path.unlink()
    assert list(schedules.current(settings.load()).plans) == ["two"]


def test_a_plan_of_another_place_is_not_taken_for_a_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    assert schedules.current(settings.load({"DIGESTS_FILE": "good.yaml"})).plans
    with pytest.raises(SettingsError, match="has mistakes"):
        schedules.current(settings.load({"DIGESTS_FILE": "bad.yaml"}))


@pytest.mark.parametrize(
    ("cron", "moment", "expected"),
    [
        ("0 8 * * *", "2026-03-28T08:00", "2026-03-29T06:00"),
        ("30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("0 * * * *", "2026-10-25T00:00", "2026-10-25T02:00"),
    ],
)
def test_the_next_time_follows_the_wall_clock(cron: str, moment: str, expected: str) -> None:
    plan = schedules.Plan("x", cron, "Europe/Berlin", ())
    found = plan.next_slot(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert f"{found:%Y-%m-%dT%H:%M}" == expected
