"""One signed batch in, one mailed workbook out: real processes, real Redis, real HTTP and SMTP peers."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import requests

from receiver.intake import signatures
from receiver.lib import secret_files, settings
from receiver.lib.settings import Settings
from tests.conftest import ROOT, wait_until
from tests.peers import llm
from tests.peers.http import Answer, Peer, Request, free_port
from tests.peers.smtp import MailServer

SUBJECTS = {
    "A-1": "Reset forgotten password",
    "A-2": "VPN Connection Issue",
    "A-3": "Report Phishing/Suspicious Email",
    "A-4": "=HYPERLINK(0)",
}


def _label_in_subject(request: Request) -> Answer:
    """The model of this test: it answers with the request type that the ticket's subject names."""
    text = request.json["messages"][1]["content"]
    label = next((name for name in llm.labels(request) if name in text), "no such entry")
    return llm.proposal(label)


@pytest.fixture
def stack(environment: pytest.MonkeyPatch, model: Peer, mail_server: MailServer, tmp_path: Path) -> Iterator[Settings]:
    model.respond = _label_in_subject
    for name, value in {
        "PORT": str(free_port()), "OPENAI_BASE_URL": f"{model.url}/v1", "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail_server.port), "SMTP_USE_TLS": "false", "FROM_EMAIL": "tickets@example.com",
        "RECIPIENT_EMAIL": "boss@example.com, deputy@example.com", "PYTHONPATH": str(ROOT), "WEB_WORKERS": "1",
    }.items():  # fmt: skip
        environment.setenv(name, value)
    config = settings.load()
    with subprocess.Popen([sys.executable, "-m", "jobs", "up"], cwd=tmp_path, env=os.environ.copy()) as process:
        try:
            wait_until(lambda: _ready(config), seconds=120)
            yield config
        finally:
            process.send_signal(signal.SIGINT)  # Ctrl-C
        assert process.wait(60) == 0


def _ready(config: Settings) -> bool:
    try:
        return requests.get(f"{config.url}/readyz", timeout=2).ok
    except requests.RequestException:
        return False


def _api(config: Settings, path: str, method: str = "GET") -> Any:
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    answer = requests.request(method, f"{config.url}/api/{path}", headers=headers, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


def _push(config: Settings, tickets: list[dict[str, str]], delivery_id: str) -> dict[str, Any]:
    body = json.dumps(tickets).encode()
    headers = signatures.sign_standard(secret_files.webhook_secrets(config)[0], delivery_id, int(time.time()), body)
    answer = requests.post(
        f"{config.url}/webhooks/standard/", body, headers=headers | {"Content-Type": "application/json"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_one_signed_batch_becomes_one_mailed_workbook(stack: Settings, mail_server: MailServer) -> None:
    batch = [
        {"id": name, "short_description": subject, "long_description": "as above", "requester_email": "a@example.com"}
        for name, subject in SUBJECTS.items()
    ]
    assert _push(stack, batch, "msg_1")["accepted"] == len(batch)
    assert _push(stack, batch, "msg_1")["status"] == "duplicate"
    wait_until(lambda: _api(stack, "stats")["tickets"]["received"] == 0, seconds=120)

    tickets = {ticket["external_id"]: ticket for ticket in _api(stack, "tickets")["items"]}
    assert {name: tickets[name]["classification"]["request_type"] for name in ("A-1", "A-2", "A-3")} == {
        name: SUBJECTS[name] for name in ("A-1", "A-2", "A-3")
    }
    assert tickets["A-1"]["classification"]["sla"] == {"value": 4, "unit": "hours", "is_default": False}
    assert (tickets["A-4"]["status"], tickets["A-4"]["classification"]["fallback"]) == ("needs_review", True)

    digest = _api(stack, "digests", "POST")
    wait_until(lambda: _api(stack, f"digests/{digest['id']}")["status"] == "sent", seconds=120)
    [mail] = mail_server.messages
    assert mail_server.recipients == [["boss@example.com", "deputy@example.com"]]
    assert mail["Message-ID"] == digest["message_id"]
    [attachment] = mail.iter_attachments()
    book = openpyxl.load_workbook(io.BytesIO(attachment.get_payload(decode=True)))  # type: ignore[arg-type]
    rows = list(book["Tickets"].iter_rows(min_row=2, values_only=True))
    assert sorted(str(row[0]) for row in rows) == sorted(SUBJECTS)
    assert [cell.data_type for row in book["Tickets"].iter_rows() for cell in row].count("f") == 0
