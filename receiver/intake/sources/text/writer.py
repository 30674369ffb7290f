"""Writing lines of text as the tags of an HTML document open and close."""

import re
from collections.abc import Mapping

_SPACE = re.compile(r"[ \t\n\xa0]+")
_LINES = {
    "address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset",
    "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main", "nav", "ol", "option", "pre", "section",
    "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6"}
_DROPPED = {"script", "style", "head", "title", "template", "object", "iframe", "svg", "math", "noframes", "xml"}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|(?:font-size|max-height)\s*:\s*0(?:px|pt|em)?\s*(?:;|$)",
    re.IGNORECASE,
)
# How mail programs mark the message that is answered: Gmail, Yahoo, Thunderbird and Apple Mail, Proton, Zammad.
_CITED = {"gmail_quote", "yahoo_quoted", "protonmail_quote"}
_SIGNATURES = {"gmail_signature", "moz-signature", "protonmail_signature_block", "js-signaturemarker"}
_WEB = re.compile(r"(?:https?|ftp)://[^\s<>\"]+", re.IGNORECASE)
_DEEPEST_QUOTE = 10
_SHORT_CELL = 4  # Lines, empty ones included.
_LONGEST_ROW = 2_000  # Characters; a cell that would make a row longer stands on a line of its own.
_MOST_OPEN = 500  # Elements; the parser looks through all of them for each end tag.


class TooDeepError(Exception):
    """More elements are open than any mail program nests."""


class Writer:
    """Takes the parser's events and writes lines; lxml prescribes the names of its first five methods."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.bullet = ""  # What the next line begins with.
        self.stack: list[tuple[str, str]] = []  # Open tags, each with what its end must undo.
        self.hidden = self.quoted = self.kept = 0
        self.lists: list[int | None] = []
        self.address: str | None = None  # Where the open link leads, and where in the line it begins.
        self.begun = 0
        self.cells: list[tuple[str, int]] = []  # Open cells: what stands before them in the row, and where they begin.

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A tag opens. Raises TooDeepError."""
        tag = tag.lower() if isinstance(tag, str) else ""
        if tag in _VOID:
            if not (self.hidden or _is_hidden(attributes)):
                self.void(tag, attributes)
            return
        # The parser looks through all that is open for each end tag, so deep nesting takes the square of its depth.
        if len(self.stack) >= _MOST_OPEN:
            raise TooDeepError
        undo = self.opened(tag, attributes)
        self.stack.append((tag, undo))

    def end(self, tag: str) -> None:
        """A tag closes, or is closed by the parser."""
        if tag.lower() in _VOID or not self.stack:
            return
        name, undo = self.stack.pop()
        if undo == "hidden":
            self.hidden -= 1
        if undo == "hidden" or self.hidden:
            return
        if name == "a":
            self.end_link()
        if name in _LINES or name in _PARAGRAPHS or undo:
            self.new_line(name in _PARAGRAPHS)
        if name in ("td", "th") and self.cells:
            self.end_cell(*self.cells.pop())
        if undo == "quoted":
            self.quoted -= 1
        elif name in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif name == "pre":
            self.kept -= 1

    def data(self, text: str) -> None:
        """Text between tags."""
        if self.hidden:
            return
        if self.kept:
            first, *others = text.split("\n")
            self.line.append(first)
            for other in others:
                self.break_line()
                self.line.append(other)
        else:
            self.line.append(_SPACE.sub(" ", text))

    def comment(self, text: str) -> None:
        """Comments say nothing to a reader."""

    def close(self) -> None:
        """The end of the document."""
        self.new_line()

    def text(self) -> str:
        """What was written."""
        return "\n".join(self.lines)

    def opened(self, tag: str, attributes: Mapping[str, str]) -> str:
        if self.hidden or tag in _DROPPED or _is_hidden(attributes):
            self.hidden += 1
            return "hidden"
        if tag in _LINES or tag in _PARAGRAPHS:
            self.new_line(tag in _PARAGRAPHS)
        classes = set((attributes.get("class") or "").lower().split()[:20])
        if classes & _SIGNATURES or attributes.get("data-signature") == "true":
            self.new_line()
            self.lines.append("-- ")
        if tag == "blockquote" or (classes & _CITED and not self.quoted):
            self.new_line()
            self.quoted += 1
            return "quoted"
        self.begin(tag, attributes)
        return ""

    def begin(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag in ("ul", "ol"):
            self.lists.append(1 if tag == "ol" else None)
        elif tag == "li":
            number = self.lists[-1] if self.lists else None
            if number is not None:
                self.lists[-1] = number + 1
            self.bullet = "  " * min(len(self.lists) - 1, 10) + ("- " if number is None else f"{number}. ")
        elif tag in ("td", "th"):
            self.cells.append(("".join(self.line).strip(), len(self.lines)))
            self.line.clear()
            self.begun = 0
        elif tag == "a":
            self.end_link()  # As in a browser, a link ends where another one begins.
            self.address, self.begun = attributes.get("href") or "", len(self.line)
        elif tag == "pre":
            self.kept += 1

    def void(self, tag: str, attributes: Mapping[str, str]) -> None:
        """A tag without an end."""
        if tag == "br":
            self.break_line()
        elif tag == "hr":
            self.new_line()
        elif tag == "img":
            sizes = ((attributes.get(name) or "").strip().removesuffix("px") for name in ("width", "height"))
            if not any(size in ("0", "1") for size in sizes):  # A picture of one pixel only tells that a mail was read.
                self.line.append(_SPACE.sub(" ", attributes.get("alt") or ""))

    def end_cell(self, row: str, start: int) -> None:
        """A cell of one line joins its row; one of several, as in a table that makes a layout, stays as it is."""
        self.new_line()
        quote = "> " * min(self.quoted, _DEEPEST_QUOTE)
        few = len(self.lines) - start <= _SHORT_CELL  # Else every cell around would read all that is inside again.
        said = [line for line in self.lines[start:] if line.strip("> ")] if few else []
        joined = " | ".join(part for part in (row, *(line.removeprefix(quote) for line in said)) if part)
        if few and len(said) <= 1 and len(joined) <= _LONGEST_ROW:
            del self.lines[start:]
            self.line = [joined]
        elif row:
            self.lines.insert(start, quote + row)

    def end_link(self) -> None:
        """Where the open link leads, unless its text says so already."""
        if self.address is None:
            return
        said, href = "".join(self.line[self.begun :]).strip(), self.address.strip()
        self.address = None
        address = href.removeprefix("mailto:").partition("?")[0] if href.startswith("mailto:") else href
        if address != href and "@" not in said:
            self.line.append(f" ({address})" if said else address)
        elif _WEB.fullmatch(href) and said.rstrip("/") not in (href.rstrip("/"), href.partition("://")[2].rstrip("/")):
            self.line.append(f" ({href})" if said else href)

    def break_line(self) -> None:
        """End the line, even an empty one."""
        whole = "".join(self.line)
        quote = "> " * min(self.quoted, _DEEPEST_QUOTE)
        self.lines.append(quote + self.bullet + (whole if self.kept else _SPACE.sub(" ", whole).strip()))
        self.bullet = ""
        self.line.clear()
        self.begun = 0

    def new_line(self, spaced: bool = False) -> None:
        """Begin a line, after an empty one where `spaced`; an empty line is not begun again."""
        if any(part.strip() for part in self.line):
            self.break_line()
        self.line.clear()
        self.begun = 0
        if spaced and not self.lists and self.lines and self.lines[-1].strip("> "):
            self.lines.append("> " * min(self.quoted, _DEEPEST_QUOTE))


def _is_hidden(attributes: Mapping[str, str]) -> bool:
    return "hidden" in attributes or bool(_HIDDEN.search((attributes.get("style") or "")[:2_000]))
