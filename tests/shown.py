"""`python -m tests.shown` runs the tests marked `shows`, and writes which helpdesk each of them tries what with.

Which helpdesk a test marked `shows("duplicate")` is about, its first parameter says that names a profile, or else `of`
in the mark. Nothing is written where a test fails.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from receiver.intake.sources import profiles

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-to" / "connect" / "tested.md"
_WHERE = [
    "tests/receiver/intake/test_signatures.py",
    "tests/receiver/intake/test_signatures_vectors.py",
    "tests/receiver/intake/sources/test_helpdesks.py",
    "tests/jobs/helpdesks/test_write_back.py",
]
COLUMNS = {
    "vector": "signature vectors pass, and nothing near them",
    "forged": "forged or unproved is refused, nothing kept",
    "ticket": "sample payload to ticket",
    "duplicate": "resent is a duplicate",
    "reorder": "the newest wins in any order",
    "broken": "a broken body is kept and quarantined",
    "write-back": "told by its API, imitated on loopback",
}
_TOP = [
    "# What is tested with every helpdesk\n",
    "<!-- Made by `python -m tests.shown`, which runs these tests; change them, not this file. -->\n",
]
_BOTTOM = [
    "\nA number says how many cases there are; a dash, that there is nothing to try: a sender of a shape of its own",
    "has no API that we know, and is told by a signed webhook. Deliveries and answers are made after the vendors'",
    "descriptions and source code, and the APIs are imitations on loopback. None was recorded from a live account,",
    "or tried with one.\n",
]


class Seen:
    """A plugin of pytest: keeps the marked tests only, and notes what each is about."""

    def __init__(self) -> None:
        self.tests: dict[tuple[str, str], list[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if item.get_closest_marker("shows")]
        for item in items:
            for mark in item.iter_markers("shows"):
                profile = mark.kwargs.get("of") or _profile(item)
                self.tests.setdefault((profile, mark.args[0]), []).append(item.name.partition("[")[0])


def _profile(item: pytest.Item) -> str:
    params: dict[str, Any] = getattr(item, "callspec").params  # noqa: B009 - pytest's own type does not tell it
    firsts = [value[0] if isinstance(value, tuple) else value for value in params.values()]
    return next(str(value) for value in firsts if isinstance(value, str) and value in profiles.shipped())


def collected(*options: str) -> Seen:
    """What the marked tests are about; they are run, unless the options say otherwise. Raises RuntimeError."""
    seen = Seen()
    if code := pytest.main(["-q", "--rootdir", str(ROOT), *options, *(str(ROOT / path) for path in _WHERE)], [seen]):
        raise RuntimeError(f"a test failed ({code!s}); the page is left as it is")
    return seen


def page(seen: Seen) -> str:
    """The page, in Markdown."""
    rows = [_row(seen, name, profile.title) for name, profile in sorted(profiles.shipped().items())]
    head = [f"| helpdesk | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    told = [f"- **{what}**: {text}: {_names(seen, what)}" for what, text in COLUMNS.items()]
    return "\n".join([*_TOP, *head, *rows, "", *told, *_BOTTOM])


def _names(seen: Seen, what: str) -> str:
    names = {name for (_, found), tests in seen.tests.items() if found == what for name in tests}
    return ", ".join(f"`{name}`" for name in sorted(names))


def _row(seen: Seen, name: str, title: str) -> str:
    counts = [len(seen.tests.get((name, what), ())) for what in COLUMNS]
    return f"| {title} | {' | '.join(str(count or '–') for count in counts)} |"


if __name__ == "__main__":
    PAGE.write_text(page(collected()), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} is written\n")
