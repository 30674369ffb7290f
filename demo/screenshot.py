"""Photograph the pages over a believable month: python -m demo.screenshot TARGET. Needs Debian's Chromium.

A TARGET that ends in .png becomes the README's picture of the overview; any other is a folder for every page, light,
dark and on a phone.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from demo import stack
from demo.month.__main__ import environment, fill
from receiver.clock import now
from receiver.record import sign_in
from receiver.record.database import opened
from receiver.settings import Settings

_CHROMIUM = "/usr/bin/chromium"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
_DESK, _PHONE = (1280, 900), (390, 844)
_LOOKS = (
    ("light", _DESK, "light"), ("dark", _DESK, "dark"), ("phone", _PHONE, "light"), ("phone-dark", _PHONE, "dark"),
)  # fmt: skip


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--month", type=click.Path(path_type=Path), help="A folder that `python -m demo.month` has filled.")
@click.option("--only", multiple=True, help="The name of a page; several are possible.")
def main(target: Path, month: Path | None, only: tuple[str, ...]) -> None:
    """Photograph the overview into TARGET.png, or every page into the folder TARGET."""
    folder = month or Path(tempfile.mkdtemp(prefix="ticket-attribution-month-"))
    if not (folder / "tickets.db").exists():
        fill(folder)
    with _stack(folder) as config, _browser() as browser:
        if target.suffix == ".png":
            with _window(browser, config, _DESK, "light") as context:
                _photograph(context.pages[0], target)
            return
        target.mkdir(parents=True, exist_ok=True)
        for look, size, scheme in _LOOKS:
            with _window(browser, config, size, scheme) as context:
                _photograph_all(context.pages[0], target, look, only)


@contextmanager
def _stack(folder: Path) -> Iterator[Settings]:
    more = environment(folder)
    config = stack.configure(folder, **more)
    process = stack.start(folder, config, **more)
    try:
        yield config
    finally:
        stack.stop(process)


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)


@contextmanager
def _window(browser: Browser, config: Settings, size: tuple[int, int], scheme: str) -> Iterator[BrowserContext]:
    """A window in which the first admin has signed in."""
    with opened(config.database_url) as record, record.write() as session:
        token = sign_in.issue(session, now())
    width, height = size
    context = browser.new_context(
        base_url=config.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    context.new_page().goto(f"/sign-in/{token}")
    yield context
    context.close()


def _photograph_all(page: Page, target: Path, look: str, only: tuple[str, ...]) -> None:
    """Every page that the rail leads to, and of each list the first thing that it opens."""
    links = page.locator(".rail li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    for path in links:
        name = path.strip("/") or "overview"
        if only and name not in only:
            continue
        page.goto(path)
        _photograph(page, target / f"{name}-{look}.png", whole=True)
        first = page.locator("a[data-open-row]").first
        if first.count():
            page.goto(first.get_attribute("href") or path)
            _photograph(page, target / f"{name}-one-{look}.png", whole=True)


def _photograph(page: Page, path: Path, *, whole: bool = False) -> None:
    page.wait_for_timeout(400)  # Charts are drawn once their scripts have run; an open stream never lets a page idle.
    page.screenshot(path=path, full_page=whole)


if __name__ == "__main__":
    main(prog_name="python -m demo.screenshot")
