"""The Excel workbook of a digest, written as a stream so that its size does not matter. Pure, but for the file."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook

from jobs.digests.translations import words
from jobs.digests.workbook import cells, rows, sheets, summary
from jobs.digests.workbook.totals import Group, Summary, needs_review
from receiver.db.tickets import Pair
from receiver.digests.schedules import COLUMNS

__all__ = ["COLUMNS", "Group", "Look", "Summary", "build", "needs_review"]


@dataclass(frozen=True)
class Look:
    """How a workbook reads: its title, the columns of `Tickets`, its language, the dashboard it links to, its clock."""

    title: str = "Ticket Attribution"
    columns: tuple[str, ...] = COLUMNS
    language: str = "en"
    address: str | None = None
    zone: str = "UTC"


PLAIN = Look()


def build(
    path: Path, pairs: Iterable[Pair], now: datetime, look: Look = PLAIN, before: summary.Before | None = None
) -> Summary:
    """Write the workbook of `pairs`, which come in the order of the sheet, to `path`; either whole or not at all.

    `before` counts the tickets of the period before, by category and request type; None where there was none.
    """
    book, counted = Workbook(write_only=True), Summary()
    _describe(book, look, now)
    zone = ZoneInfo(look.zone)
    own, titles = words(look.language), words(look.language)["sheets"]
    tickets = sheets.TableSheet(book, titles["Tickets"], "Tickets", rows.columns(look.columns, own, zone))
    overview = sheets.create(book, titles["Summary"])
    review_columns = rows.columns(rows.REVIEW_COLUMNS, own, zone, wraps=True)
    reviews = sheets.TableSheet(book, titles["Needs review"], "Needs_review", review_columns)
    for ticket, classification in pairs:
        state = counted.add(ticket, classification, now, zone)
        entry = rows.Entry(ticket, classification, state, own, look.address, zone)
        tickets.append(rows.row(entry, look.columns))
        if needs_review(ticket, classification):
            reviews.append(rows.review_row(entry))
    tickets.close()
    reviews.close()
    summary.write(overview, counted, summary.Frame(look.title, own, now, zone, before))
    _save(book, path)
    return counted


def _describe(book: Any, look: Look, now: datetime) -> None:
    """What the file says of itself, the same whenever it is built."""
    book.properties.title = cells.plain(look.title)
    book.properties.creator = "Ticket Attribution"
    book.properties.language = look.language
    book.properties.created = now


def _save(book: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    book.save(unfinished)
    unfinished.replace(path)
