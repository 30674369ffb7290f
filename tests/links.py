"""`python -m tests.links` names what leads nowhere in the documents: links, files, tests and commands."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from jobs.__main__ import main as commands

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PACKAGES = ("receiver", "jobs", "tests", "benchmarks", "chaos", "demo")
# Code that is the path of a file or folder of ours; a NAME in capitals in it is the reader's to fill in.
_PATH = re.compile(rf"(?:{'|'.join(PACKAGES)}|deploy|docs)/[a-z0-9_.\-/]+")
_TEST = re.compile(r"test_[a-z0-9_]+")


def documents() -> list[Path]:
    """Every document that people read in the repository."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def problems() -> list[str]:
    """A line for each link that leads nowhere, and each file, test or command that is named and not there."""
    return [f"{path.relative_to(ROOT)}: {told}" for path in documents() for told in problems_of(path)]


def problems_of(path: Path) -> Iterator[str]:
    """The same of one document."""
    for token in _inline(path):
        target = token.attrGet("href") or token.attrGet("src")
        if target and (told := _dead(path, str(target))):
            yield told
        elif token.type == "code_inline" and _PATH.fullmatch(token.content) and not (ROOT / token.content).exists():
            yield f"{token.content} is not there"
        elif token.type == "code_inline" and _TEST.fullmatch(token.content) and token.content not in _tests():
            yield f"there is no {token.content}"
        if token.type == "code_inline":
            yield from _wrong_commands(token.content)
    for token in _tokens(path):
        if token.type == "fence":
            yield from _wrong_commands(token.content)
    for name, place in re.findall(r"`(\w+)` in\s+`([\w/.]+\.py)`", path.read_text(encoding="utf-8")):
        if (ROOT / place).exists() and not re.search(rf"(?:def|class) {name}\b", (ROOT / place).read_text()):
            yield f"there is no {name} in {place}"


def _wrong_commands(code: str) -> Iterator[str]:
    """What code calls that is not there: modules of ours, commands of `python -m jobs`, targets of the Makefile."""
    for module, command in re.findall(r"python -m ([\w.]+)(?: ([a-z][a-z-]*))?", code):
        place = ROOT / module.replace(".", "/")
        if module.partition(".")[0] in PACKAGES and not (place.is_dir() or place.with_suffix(".py").exists()):
            yield f"there is no module {module}"
        if module == "jobs" and command and command not in commands.commands:
            yield f"there is no command {command}"
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for target in re.findall(r"(?:^|&& )make ([a-z][a-z-]*)", code, re.MULTILINE):
        if target not in targets:
            yield f"there is no target {target} in the Makefile"


def _dead(path: Path, target: str) -> str | None:
    """Why a link leads nowhere; None where it leads somewhere, or to another host."""
    if "://" in target or target.startswith("mailto:"):
        return None
    name, _, anchor = unquote(target).partition("#")
    found = (path.parent / name).resolve() if name else path
    if not found.exists():
        return f"{target} is not there"
    if path.is_relative_to(DOCS) and not found.is_relative_to(DOCS):
        return f"{target} is not in docs/, so the site has no such page; name the file instead"
    return f"{target} is no heading there" if anchor and anchor not in _anchors(found) else None


@cache
def _tokens(path: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))


def _inline(path: Path) -> Iterator[Token]:
    for token in _tokens(path):
        yield from token.children or ()


@cache
def _anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    texts = [text.children or [] for head, text in pairwise(_tokens(path)) if head.type == "heading_open"]
    titles = ["".join(token.content for token in children) for children in texts]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@cache
def _tests() -> set[str]:
    """The names of all files of tests, and of all tests in them."""
    files = list((ROOT / "tests").rglob("test_*.py"))
    functions = {name for path in files for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    return {path.stem for path in files} | functions


if __name__ == "__main__":
    found = problems()
    sys.stdout.write("".join(f"{line}\n" for line in found))
    sys.exit(bool(found))
