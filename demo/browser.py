"""A Chromium without a window, found wherever it is; `python -m demo.browser` installs one where none starts.

`make test` and `make screenshots` call it first, so that a missing browser is one line, not forty errors.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

# As distributions and vendors name it; a Mac has it in a folder that is on nobody's PATH.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
PLACES = (
    "/snap/bin/chromium",
    "/opt/google/chrome/chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Playwright's driver is linked against libatomic, which a small Debian lacks.
_PACKAGES = ("chromium", "libatomic1")
_INSTALL_IT = (
    f"install Chromium or Chrome (on Debian: apt-get install {' '.join(_PACKAGES)}), "
    "or name one in CHROMIUM=/path/to/it"
)


class BrowserMissingError(RuntimeError):
    """No Chromium could be started; the text says what to do, in one line."""


@contextmanager
def browser() -> Iterator[Browser]:
    """A running Chromium, closed at the end of the block. Raises BrowserMissingError."""
    driver = sync_playwright()
    try:
        playwright = driver.start()
    except Exception as error:  # noqa: BLE001 - It has no type of its own where its program cannot be started.
        raise BrowserMissingError(f"Playwright's driver does not start ({error}); {_INSTALL_IT}") from None
    try:
        found = _launch(playwright)
        yield found
        found.close()
    finally:
        playwright.stop()


def _launch(playwright: Playwright) -> Browser:
    """The first browser that starts: not everything that is called Chromium is one (Ubuntu's package is a notice)."""
    tried = []
    for path in _candidates(playwright):
        try:
            return playwright.chromium.launch(executable_path=path, args=_FLAGS)
        except Error:
            tried.append(path)
    seen = f"{', '.join(tried)} did not start; " if tried else "no Chromium was found; "
    raise BrowserMissingError(seen + _INSTALL_IT)


def _candidates(playwright: Playwright) -> Iterator[str]:
    """Paths of browsers that exist: the one named in CHROMIUM alone, or else all that are known."""
    if named := os.environ.get("CHROMIUM"):
        yield named
        return
    yield from filter(None, map(shutil.which, NAMES))
    yield from (place for place in (*PLACES, playwright.chromium.executable_path) if Path(place).exists())


def install() -> None:
    """Install a Chromium with what this user may use: Debian's package as root, otherwise Playwright's own build."""
    is_root = os.geteuid() == 0 and shutil.which("apt-get")
    commands = (
        [["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES]]
        if is_root
        else [[sys.executable, "-m", "playwright", "install", "chromium"]]
    )
    for command in commands:
        if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
            return  # Whether a browser starts now is what the caller looks at; it says what to do.


def main() -> None:
    """Make sure that a browser starts; exit code 1 and one line where none does."""
    for attempt in (1, 2):
        try:
            with browser():
                return
        except BrowserMissingError as error:
            if attempt == 2 or os.environ.get("CHROMIUM"):
                sys.exit(f"The tests of the pages need a browser: {error}")
            print("No Chromium starts here; installing one ...", file=sys.stderr)
            install()


if __name__ == "__main__":
    main()
