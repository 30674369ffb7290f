"""Photograph the pages over a believable month: python -m demo.screenshot TARGET. Needs Debian's Chromium.

A TARGET that ends in .png becomes the README's picture of the overview; any other is a folder for every page, and for
what its list opens, light and dark, and for three of them on a phone. docs/pages.md shows that folder.
"""

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from demo import stack
from demo.month.__main__ import environment, fill
from receiver.clock import now
from receiver.record import sign_in
from receiver.record.database import opened
from receiver.settings import Settings

_CHROMIUM = "/usr/bin/chromium"
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
_DESK, _PHONE, _TALLEST = (1280, 900), (390, 844), 1000
_COLOURS = 56
_OPENED = {"tickets": "ticket", "deliveries": "delivery", "digests": "digest", "sources": "source"}
_LOOKS: tuple[tuple[str, tuple[int, int], str, tuple[str, ...]], ...] = (
    ("light", _DESK, "light", ()),
    ("dark", _DESK, "dark", ()),
    ("phone", _PHONE, "light", ("overview", "review", "ticket")),
)
# The month was answered by this model, and nothing of it waits, so nobody is asked and no address needs to answer.
_SHOWN = {
    "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
    "LLM_DAILY_BUDGET": "0.5",
    "PUBLIC_URL": "http://tickets.example.com",
}


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
        for look, size, scheme, names in _LOOKS:
            with _window(browser, config, size, scheme) as context:
                _photograph_all(context.pages[0], target, look, only or names)


@contextmanager
def _stack(folder: Path) -> Iterator[Settings]:
    config = stack.configure(folder, **environment(folder))
    process = stack.start(folder, config, **environment(folder), **_SHOWN)
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
    """Every page that the rail leads to, and of most lists the first thing that it opens; or those of these names."""
    links = page.locator(".rail li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    for path in links:
        name = path.strip("/") or "overview"
        opened_name = _OPENED.get(name, "")
        if only and not {name, opened_name} & set(only):
            continue
        page.goto(path)
        if not only or name in only:
            _photograph(page, target / f"{name}-{look}.png", grows=look != "phone")
        if opened_name and (not only or opened_name in only):
            page.goto(page.locator("a[data-open-row]").first.get_attribute("href") or path)
            _photograph(page, target / f"{opened_name}-{look}.png", grows=look != "phone")


def _photograph(page: Page, path: Path, *, grows: bool = False) -> None:
    """The window, as tall as the page where it `grows`, in no more colours than it has."""
    size = page.viewport_size or {"width": _DESK[0], "height": _DESK[1]}
    if grows:
        tall = min(page.evaluate("document.documentElement.scrollHeight"), _TALLEST)
        page.set_viewport_size({"width": size["width"], "height": tall})
    page.wait_for_timeout(400)  # Charts are drawn once their scripts have run; an open stream never lets a page idle.
    _in_few_colours(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).save(path, optimize=True)
    page.set_viewport_size(size)


def _in_few_colours(picture: Image.Image) -> Image.Image:
    """The same with a palette: the commonest colours as they are, and others so that the rare ones are near one too."""
    counts: Any = picture.getcolors(picture.width * picture.height)
    commonest = sorted(counts, reverse=True)[:_COLOURS]
    spread = picture.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in commonest for part in colour] + spread[: 3 * _COLOURS])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


if __name__ == "__main__":
    main(prog_name="python -m demo.screenshot")
