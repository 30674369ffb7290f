"""Photograph the workbook's sheets as LibreOffice prints them: python -m demo.sheets FOLDER.

Needs soffice and poppler's tools.
"""

import io
import subprocess
import tempfile
from pathlib import Path

import click
from PIL import Image, ImageChops
from sqlalchemy import select

from demo.month.__main__ import fill
from jobs.digests import workbook
from jobs.digests.translations import words
from jobs.digests.workbook import Look
from receiver.db import digest_members, digests
from receiver.db.database import Database, opened
from receiver.db.models import Digest

_SHEETS = {"Summary": (110, 1.0), "Tickets": (130, 0.4), "Needs review": (130, 0.4)}  # Dots an inch; how much is kept.
_MARGIN = 24


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--month", type=click.Path(path_type=Path), help="A folder that `python -m demo.month` has filled.")
@click.option("--language", default="en", show_default=True)
def main(target: Path, month: Path | None, language: str) -> None:
    """Write the workbook of the newest digest of an invented month, and each sheet's first page into TARGET."""
    folder = month or Path(tempfile.mkdtemp(prefix="ticket-attribution-month-"))
    config = fill(folder) if not (folder / "tickets.db").exists() else None
    url = config.database_url if config else f"sqlite:///{folder}/tickets.db"
    path = folder / f"sheets-{language}.xlsx"
    with opened(url) as db:
        _build(db, path, Look("IT Service Desk", language=language, address="https://tickets.example.com"))
    command = ["soffice", "--headless", "--convert-to", "pdf", "--outdir", str(folder), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    own = words(language)
    marks = (own["summary"]["by_category"], own["columns"]["Long Description"], own["columns"]["Next Best"])
    for (name, (resolution, kept)), mark in zip(_SHEETS.items(), marks, strict=True):
        picture = _page(path.with_suffix(".pdf"), mark, resolution)
        suffix = "" if language == "en" else f"-{language}"
        _cropped(picture, kept).quantize(256, Image.Quantize.MAXCOVERAGE).save(
            target / f"workbook-{name.lower().replace(' ', '-')}{suffix}.png", optimize=True
        )


def _build(db: Database, path: Path, look: Look) -> None:
    with db.read() as session:
        newest = session.scalars(select(Digest).order_by(Digest.id.desc()).limit(1)).one()
        before = digest_members.counts(session, digests.previous(session, newest))
        workbook.build(path, digest_members.rows(session, newest.id), newest.created_at, look, before)


def _page(pdf: Path, words_of_sheet: str, resolution: int) -> Image.Image:
    """The first page with words that are on one sheet only."""
    pages = _printed("pdftotext", str(pdf), "-").decode().split("\f")
    number = next(number for number, text in enumerate(pages, 1) if words_of_sheet in text)
    one = ("-f", str(number), "-l", str(number), "-r", str(resolution))
    return Image.open(io.BytesIO(_printed("pdftoppm", *one, "-png", str(pdf)))).convert("RGB")


def _printed(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def _cropped(picture: Image.Image, kept: float) -> Image.Image:
    """The upper part of a page without its foot and its empty margins."""
    upper = picture.crop((0, 0, picture.width, int(picture.height * kept * 0.95)))
    drawn = ImageChops.difference(upper, Image.new("RGB", upper.size, "white")).getbbox()
    left, top, right, bottom = drawn or (0, 0, *upper.size)
    return upper.crop((left - _MARGIN, top - _MARGIN, right + _MARGIN, min(bottom + _MARGIN, upper.height)))


if __name__ == "__main__":
    main(prog_name="python -m demo.sheets")
