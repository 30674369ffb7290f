"""The documents keep up with the code: what is generated is as the code has it, and what is named is there."""

import re
from pathlib import Path

import pytest
import requests
import yaml
from flask.testing import FlaskClient

from demo import reference
from receiver.db.models import DELIVERY_STATES, TICKET_STATES
from receiver.db.review_reasons import ReviewReason
from receiver.lib import secret_files, sla
from receiver.lib.settings import Settings
from receiver.web.dashboard import alarm_help
from tests import links
from tests.conftest import ROOT

DOCS = ROOT / "docs"


def test_every_link_leads_somewhere_and_every_file_that_is_named_is_there() -> None:
    assert links.problems() == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[gone](gone.md)", "gone.md is not there"),
        ("[no heading](page.md#nowhere)", "page.md#nowhere is no heading there"),
        ("![gone](gone.png)", "gone.png is not there"),
        ("[another page](other.md), [a site](https://example.com/x)", None),
        ("`receiver/web/gone.py`", "receiver/web/gone.py is not there"),
        ("`test_of_nothing`", "there is no test_of_nothing"),
        ("`python -m demo.gone`", "there is no module demo.gone"),
        ("```\nsystemctl stop x && python -m jobs gone FILE\n```", "there is no command gone"),
        ("`gone` in\n`receiver/web/webhooks.py`", "there is no gone in receiver/web/webhooks.py"),
        ("`make gone`", "there is no target gone in the Makefile"),
        ("`python -m jobs backup`, `python -m pytest`, `make test`, make it so", None),
        ("[a heading](#here-is-one)\n\n# Here is `one`\n\n`receiver/web/app.py`, `receiver/web/NAME.py`", None),
    ],
)
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, text: str, told: str | None) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    (tmp_path / "other.md").touch()
    assert list(links.problems_of(page)) == ([told] if told else [])


def test_the_generated_pages_are_what_the_code_says() -> None:
    stale = [name for name, text in reference.pages().items() if (DOCS / "reference" / name).read_text() != text]
    assert stale == [], "call python -m demo.reference"


def test_every_setting_is_explained_in_a_section() -> None:
    explained = list(reference.explained())
    assert [setting.name for setting in explained if not setting.text or not setting.section] == []
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert [setting.name for setting in explained if f"| `{setting.name}` |" not in page] == []


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"[\w/.-]+\.md\b", str(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(listed) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_every_folder_of_the_code_is_on_the_page_about_the_architecture() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.parent for name in ("receiver", "jobs") for path in (ROOT / name).glob("*/__init__.py")}
    assert [str(path) for path in folders if f"| `{path.relative_to(ROOT)}/` |" not in page] == []


def test_every_metric_and_every_kind_of_alarm_is_documented(client: FlaskClient, config: Settings) -> None:
    page = (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8")
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    names = re.findall(r"^# TYPE (\w+)", client.get("/metrics", headers=headers).text, re.MULTILINE)
    assert names
    assert [name for name in names if f"| `{name}` |" not in page] == []
    assert [kind for kind in alarm_help._ADVICE if f"`{kind}" not in page] == []


def test_every_state_is_documented() -> None:
    page = (DOCS / "reference" / "states.md").read_text(encoding="utf-8")
    assert [state for state in (*DELIVERY_STATES, *TICKET_STATES) if f"| `{state}` |" not in page] == []
    assert [reason.value for reason in ReviewReason if f"| `{reason.value}` |" not in page] == []
    assert [state for state in sla.STATES if f"`{state}`" not in page] == []


def test_the_program_of_the_first_hour_pushes_a_ticket(
    site: str, config: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (DOCS / "tutorial" / "first-hour.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    secret_files.webhook_secrets(config)
    exec(program.replace("http://127.0.0.1:8000", site), {})  # noqa: S102 - it is ours, and readers run it as it is.
    assert '"status":"accepted"' in capsys.readouterr().out
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    (ticket,) = requests.get(f"{site}/api/tickets", headers=headers, timeout=10).json()["items"]
    assert (ticket["external_id"], ticket["short_description"]) == ("4711", "VPN down")
