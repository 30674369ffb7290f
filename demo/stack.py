"""The stack in a throw-away folder, and what is done to it through its doors: the webhook and the API."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from receiver.intake import signatures
from receiver.lib import secret_files, settings
from receiver.lib.settings import Settings

ROOT = Path(__file__).parents[1]
SAMPLES = Path(__file__).with_name("tickets.jsonl")
BATCH = 24
START_SECONDS, CLASSIFY_SECONDS, DIGEST_SECONDS, STOP_SECONDS = 60, 300, 60, 30

console = Console()


class DemoError(Exception):
    """Something is not as it should be; the text says what."""


def samples() -> list[dict[str, Any]]:
    """The sample tickets of the last hours, each with the category and request type that a person chose for it."""
    found = [json.loads(line) for line in SAMPLES.read_text(encoding="utf-8").splitlines()]
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=2)
    return [
        sample | {"created_at": (newest - number * timedelta(minutes=2)).isoformat()}
        for number, sample in enumerate(found)
    ]


def configure(folder: Path, **more: str) -> Settings:
    """The embedded defaults, with their data in `folder` and the web server on a free port; `more` goes before them."""
    usual = {"DATA_DIR": str(folder), "PORT": str(_free_port()), "RECIPIENT_EMAIL": "manager@example.com"}
    return settings.load(usual | more)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, config: Settings, **more: str) -> subprocess.Popen[bytes]:
    """The stack on the embedded defaults and `more`, whatever this shell and .env say, once it is ready."""
    ours = {field.name.upper() for field in fields(Settings)} | {"OPENAI_API_BASE"}
    environment = {name: value for name, value in os.environ.items() if name not in ours} | {
        "DATA_DIR": str(config.data_dir),
        "PORT": str(config.port),
        "RECIPIENT_EMAIL": ",".join(config.recipient_email),
        "PYTHONPATH": str(ROOT),
        **more,
    }
    with (folder / "stack.log").open("wb") as log:
        command = [sys.executable, "-m", "jobs", "up"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    ends = time.monotonic() + START_SECONDS
    with console.status("Starting web server, Redis, workers and scheduler"):
        while not _is_ready(config):
            if process.poll() is not None:
                raise DemoError(f"the stack ended with {process.returncode} while starting")
            if time.monotonic() > ends:
                stop(process)
                raise DemoError(f"the stack was not ready within {START_SECONDS} s")
            time.sleep(0.1)
    return process


def _is_ready(config: Settings) -> bool:
    try:
        answer = requests.get(f"{config.url}/readyz", timeout=2)
    except requests.RequestException:
        return False
    return answer.ok and answer.json()["redis"] == "up"


def push(config: Settings, tickets: list[dict[str, Any]]) -> None:
    """Send the samples as signed batches, as a helpdesk would."""
    secret = secret_files.webhook_secrets(config)[0]
    for start in range(0, len(tickets), BATCH):
        batch = tickets[start : start + BATCH]
        body = json.dumps({"tickets": batch}, ensure_ascii=False).encode()
        headers = signatures.sign_standard(secret, f"demo_{start}", int(time.time()), body)
        answer = requests.post(
            f"{config.url}/webhooks/standard", body, headers=headers | {"Content-Type": "application/json"}, timeout=10
        )
        if answer.status_code != 200 or answer.json()["accepted"] != len(batch):
            raise DemoError(f"a batch of {len(batch)} was answered with {answer.status_code}: {answer.text[:300]}")


def _api(config: Settings, path: str, method: str = "GET") -> Any:
    headers = {"Authorization": f"Bearer {secret_files.api_token(config)}"}
    answer = requests.request(method, f"{config.url}/api/{path}", headers=headers, timeout=30)
    if not answer.ok:
        raise DemoError(f"{method} /api/{path} was answered with {answer.status_code}: {answer.text[:300]}")
    return answer.json()


def watch(config: Settings, total: int) -> None:
    """Show the progress until every ticket is classified or waits for review."""
    ends = time.monotonic() + CLASSIFY_SECONDS
    columns = (TextColumn("Classifying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)
        while not progress.finished:
            counts = _api(config, "stats")["tickets"]
            progress.update(task, completed=sum(counts.values()) - counts["received"])
            if time.monotonic() > ends:
                raise DemoError(f"{counts['received']} of {total} tickets were not classified in {CLASSIFY_SECONDS} s")
            time.sleep(0.2)


def send_digest(config: Settings) -> dict[str, Any]:
    """Ask for a digest and wait until it is sent."""
    digest: dict[str, Any] = _api(config, "digests", "POST")
    ends = time.monotonic() + DIGEST_SECONDS
    while digest["status"] in ("claimed", "sending"):
        if time.monotonic() > ends:
            raise DemoError(f"the digest is still {digest['status']} after {DIGEST_SECONDS} s: {digest['error']}")
        time.sleep(0.1)
        digest = _api(config, f"digests/{digest['id']}")
    return digest


def all_tickets(config: Settings) -> list[dict[str, Any]]:
    """Every ticket of the API, page by page."""
    found: list[dict[str, Any]] = []
    page = _api(config, "tickets?limit=200")
    while True:
        found += page["items"]
        if page["next"] is None:
            return found
        page = _api(config, f"tickets?limit=200&cursor={page['next']}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop everything. Raises DemoError where that fails or takes too long."""
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise DemoError(f"the stack did not stop within {STOP_SECONDS} s") from None
    if code:
        raise DemoError(f"the stack ended with {code}")
