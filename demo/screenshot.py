"""Photograph the pages over a believable month: python -m demo.screenshot FOLDER. Needs Chromium or Chrome.

Every page, and of most lists what they open, light and dark, and three of them on a phone; docs/reference/pages.md
shows them.
"""

import io
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from demo import stack
from demo.browser import browser
from demo.month.__main__ import environment, fill
from receiver.db import sign_in
from receiver.db.database import opened
from receiver.lib.clock import now
from receiver.lib.settings import Settings

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
    """Photograph every page into the folder TARGET."""
    folder = month or Path(tempfile.mkdtemp(prefix="ticket-attribution-month-"))
    if not (folder / "tickets.db").exists():
        fill(folder)
    with _stack(folder) as config, browser() as chromium:
        target.mkdir(parents=True, exist_ok=True)
        for look, size, scheme, names in _LOOKS:
            with _window(chromium, config, size, scheme) as context:
                _photograph_all(context.pages[0], target, look, names, only)


@contextmanager
def _stack(folder: Path) -> Iterator[Settings]:
    config = stack.configure(folder, **environment(folder))
    process = stack.start(folder, config, **environment(folder), **_SHOWN)
    try:
        yield config
    finally:
        stack.stop(process)


@contextmanager
def _window(chromium: Browser, config: Settings, size: tuple[int, int], scheme: str) -> Iterator[BrowserContext]:
    """A window in which the first admin has signed in."""
    with opened(config.database_url) as db, db.write() as session:
        token = sign_in.issue(session, now())
    width, height = size
    context = chromium.new_context(
        base_url=config.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    page.goto(f"/sign-in/{token}")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
    yield context
    context.close()


def _photograph_all(page: Page, target: Path, look: str, names: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Every page that the rail leads to, and of most lists the first thing that it opens; or those of these names."""
    links = page.locator(".rail li a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    for path in links:
        name = path.strip("/") or "overview"
        if _is_among(name, names, only):
            page.goto(path)
            _photograph(page, target / f"{name}-{look}.png")
        if name in _OPENED and _is_among(_OPENED[name], names, only):
            page.goto(path)
            page.goto(page.locator("a[data-open-row]").first.get_attribute("href") or path)
            _photograph(page, target / f"{_OPENED[name]}-{look}.png")


def _is_among(name: str, *choices: tuple[str, ...]) -> bool:
    """Whether each of the choices that were made allows it."""
    return all(name in choice for choice in choices if choice)


def _photograph(page: Page, path: Path) -> None:
    """The window, at a desk as tall as the page, in few colours."""
    size = page.viewport_size or {"width": _DESK[0], "height": _DESK[1]}
    if size["width"] == _DESK[0]:
        tall = min(page.evaluate("document.documentElement.scrollHeight"), _TALLEST)
        page.set_viewport_size({"width": size["width"], "height": tall})
    page.wait_for_timeout(400)  # Charts are drawn once their scripts have run; an open stream never lets a page idle.
    _in_few_colours(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).save(path, optimize=True)
    page.set_viewport_size(size)


def _in_few_colours(picture: Image.Image) -> Image.Image:
    """The same with a palette: the commonest colours as they are, and others so that the rare ones are near one too."""
    counts: Any = picture.getcolors(picture.width * picture.height)
    commonest = [colour for _, colour in sorted(counts, reverse=True)[:_COLOURS]]
    parts: Any = picture.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE).getpalette()
    spread = zip(*(parts[start : 3 * _COLOURS : 3] for start in range(3)), strict=True)
    palette = list(dict.fromkeys([*commonest, *spread]))
    nearest = {colour: min(range(len(palette)), key=_distance(colour, palette)) for _, colour in counts}
    data = picture.tobytes()
    pixels = zip(data[::3], data[1::3], data[2::3], strict=True)
    found = Image.frombytes("P", picture.size, bytes(nearest[pixel] for pixel in pixels))
    found.putpalette(bytes(itertools.chain.from_iterable(palette)))
    return found


def _distance(colour: Sequence[int], palette: Sequence[Sequence[int]]) -> Callable[[int], int]:
    return lambda index: sum((mine - its) ** 2 for mine, its in zip(colour, palette[index], strict=True))


if __name__ == "__main__":
    main(prog_name="python -m demo.screenshot")
