"""Start the stack in a throw-away folder, push signed samples, wait, send a digest, show what came of it, stop."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import requests
from rich.table import Table

from demo import stack
from demo.stack import DemoError, console
from receiver.db import digests
from receiver.lib.settings import Settings


def main() -> None:
    """Run the demo; exits with 1 and says why when anything fails."""
    folder = Path(tempfile.mkdtemp(prefix="ticket-attribution-demo-"))
    try:
        _run(folder)
    except (DemoError, requests.RequestException, OSError) as error:
        console.print(f"The demo failed: {error}", style="red", markup=False)
        _show_log(folder / "stack.log")
        sys.exit(1)


def _run(folder: Path) -> None:
    config, samples = stack.configure(folder), stack.samples()
    took: dict[str, float] = {}
    with _timed(took, "stack started"):
        process = stack.start(folder, config)
    try:
        with _timed(took, f"{len(samples)} tickets accepted"):
            stack.push(config, samples)
        with _timed(took, "all classified"):
            stack.watch(config, len(samples))
        with _timed(took, "digest sent"):
            digest = stack.send_digest(config)
        tickets = stack.all_tickets(config)
    finally:
        with _timed(took, "stack stopped"):
            stack.stop(process)
    _check(config, samples, tickets, digest)
    _show(config, samples, tickets, digest, took)


@contextmanager
def _timed(took: dict[str, float], stage: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    took[stage] = time.monotonic() - started


def _show_log(path: Path) -> None:
    if path.exists():
        console.print(f"The stack's log is {path}; it ends with:", markup=False)
        lines = path.read_text(errors="replace").splitlines()[-15:]
        console.print("\n".join(lines), markup=False, highlight=False)


def _check(
    config: Settings, samples: list[dict[str, Any]], tickets: list[dict[str, Any]], digest: dict[str, Any]
) -> None:
    problems = []
    if sorted(ticket["external_id"] for ticket in tickets) != sorted(sample["id"] for sample in samples):
        problems.append(f"{len(samples)} tickets were pushed and {len(tickets)} are in the record, or others")
    if failed := [ticket["external_id"] for ticket in tickets if ticket["classification"] is None]:
        problems.append(f"not classified: {', '.join(failed)}")
    if digest["status"] != "sent" or digest["tickets"] != len(samples):
        problems.append(f"the digest of {digest['tickets']} tickets is {digest['status']}: {digest['error']}")
    problems += [f"{path} is missing" for path in _files(config, digest).values() if not path.is_file()]
    if problems:
        raise DemoError("; ".join(problems))


def _files(config: Settings, digest: dict[str, Any]) -> dict[str, Path]:
    return {
        "Workbook": digests.workbook_path(config.data_dir, digest["id"]),
        "Mail": config.data_dir / "outbox" / f"digest-{digest['id']}.eml",
        "Database": config.data_dir / "tickets.db",
    }


def _show(
    config: Settings,
    samples: list[dict[str, Any]],
    tickets: list[dict[str, Any]],
    digest: dict[str, Any],
    took: dict[str, float],
) -> None:
    console.print(_by_category(tickets))
    for stage, seconds in took.items():
        console.print(f"{seconds:7.2f} s  {stage}", highlight=False)
    labels = {sample["id"]: sample["request_type"] for sample in samples}
    same = sum(labels[ticket["external_id"]] == ticket["classification"]["request_type"] for ticket in tickets)
    console.print(
        f"\n{same} of {len(tickets)} request types are those a person chose for the samples.", highlight=False
    )
    for name, path in _files(config, digest).items():
        console.print(f"{name + ':':<10}{path}", highlight=False, soft_wrap=True)


def _by_category(tickets: list[dict[str, Any]]) -> Table:
    table = Table("Category", title=f"{len(tickets)} tickets, attributed")
    for heading in ("Tickets", "Needs review", "Mean confidence"):
        table.add_column(heading, justify="right")
    groups: dict[str, list[dict[str, Any]]] = {}
    for ticket in tickets:
        groups.setdefault(ticket["classification"]["category"], []).append(ticket)
    for category, members in [*sorted(groups.items()), ("All", tickets)]:
        if members is tickets:
            table.add_section()
        review = sum(ticket["status"] == "needs_review" for ticket in members)
        confidence = fmean(ticket["classification"]["confidence"] for ticket in members)
        table.add_row(category, str(len(members)), str(review), f"{confidence:.0%}")
    return table


if __name__ == "__main__":
    main()
