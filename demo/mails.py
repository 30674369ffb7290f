"""Photograph a digest's mail as readers show it: python -m demo.mails FOLDER. Needs Chromium or Chrome.

On a desk, on a phone, and in the dark where a reader heeds the mail's own dark colours.
"""

import io
import tempfile
from pathlib import Path

import click
from PIL import Image
from playwright.sync_api import Browser
from sqlalchemy import select

from demo.browser import browser
from demo.month.__main__ import configured, fill
from receiver.db import digests
from receiver.db.database import opened
from receiver.db.models import Digest
from receiver.web.dashboard import mail_preview

_LOOKS = {"mail": (640, "light"), "mail-phone": (375, "light"), "mail-dark": (640, "dark")}


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--month", type=click.Path(path_type=Path), help="A folder that `python -m demo.month` has filled.")
def main(target: Path, month: Path | None) -> None:
    """Photograph the mail of the largest digest of an invented month into TARGET."""
    folder = month or Path(tempfile.mkdtemp(prefix="ticket-attribution-month-"))
    if not (folder / "tickets.db").exists():
        fill(folder)
    mail = mail_preview.html(_largest(folder))
    with browser() as chromium:
        for name in _LOOKS:
            _photograph(chromium, mail, target, name)


def _largest(folder: Path) -> Path:
    config = configured(folder)
    with opened(config.database_url) as db, db.read() as session:
        largest = session.scalars(select(Digest.id).order_by(Digest.tickets.desc()).limit(1)).one()
    return digests.mail_path(config.data_dir, largest)


def _photograph(chromium: Browser, mail: str, target: Path, name: str) -> None:
    width, scheme = _LOOKS[name]
    page = chromium.new_page(
        viewport={"width": width, "height": 400}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.set_content(mail, wait_until="load")
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(target / f"{name}.png", optimize=True)
    page.close()


if __name__ == "__main__":
    main(prog_name="python -m demo.mails")
