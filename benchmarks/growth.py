"""How the time of every reader of what senders write grows with the size: twice the text, about twice the time.

Each reader is tried with texts of every shape in SHAPES, from 25 kB to 1.6 MB; a line tells of its slowest shape. What
grows with the square of the size would quadruple with each doubling.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from benchmarks.stack import Line
from jobs.classification import prompt_injection
from jobs.classification.clean_text import sanitise
from jobs.classification.engines import linear
from jobs.classification.engines.base import TicketText
from jobs.classification.engines.llm.prompt import Prompt
from jobs.classification.engines.local import evidence
from jobs.classification.redact import redact
from jobs.digests.workbook import cells
from receiver import catalog
from receiver.db import search_index
from receiver.intake.schemas import TicketIn
from receiver.intake.sources import bodies
from receiver.intake.sources.text import readable
from receiver.lib import secret_masking, spreadsheet
from receiver.web.dashboard import highlight

Reader = Callable[[str], object]

SIZES = [25_000 * 2**step for step in range(7)]
_SCANNED = 50_000, 200_000  # With these all shapes are tried, and the full range with those that grow most.
_WORST = 2
_GOAL = 3.0  # Times, for twice the size; a square has 4.
_PATIENCE = 4.0  # Seconds of the processor; more is not waited for with the next size.
_NOTHING = 0.05  # Seconds; below it a ratio says nothing.

# What a text is made of: the first piece fills the first half, the second one the other half.
SHAPES = [
    ("word ", ""), ("a", ""), (" ", "x"), ("\n", "x"), ("é", ""), ("\U0001f600", ""), ("a\n", ""), ("1", ""),
    ("{{", ""), ("${", ""), ("{", ""), ("[", "]"), ('"', ""), ("\\", ""), ('\\"', '"'), ('{"a": "', '"}'), (", ", ""),
    ("<a href=x><b>", "<br>"), ("<b>", "</i>"), ("<div>", "</div>"), ("<td>a", "</td>"), ("<table><tr><td>a", ""),
    ("<ul><li>", "</ul>"), ("<blockquote>a", ""), ("<!--", ""), ("<script>", "</script"), ("<", ">"), ("&amp;", ""),
    ("&#", ""), ("<p a=1 b=2 c=3>", ""), ("<p ", ""), ("<pre>\n", ""), ("![", "]("), ("[a](", ""), ("<a:", ""),
    ("On Mon 5, a@b.org wrote:\n> x\n", ""), ("a line\nOn Mon 5, Ada wrote:\n> x\n", ""), ("Op ", "schreef "),
    ("x\n", "Sent from my x\n"), ("From: a\nSent: b\n", ""), ("Regards\n", ""), ("-", ""), ("- ", ""), ("> ", ""),
    ("data:a/b;base64,", "A"), ("data:", ""), ("=", ""), ("@", ""), ("a@", ""), ("a.", "@"), ("a@b.", ""), ("(", ")"),
    ("://", ""), ("http://a", ""), ("://a:", "@"), ("password ", ""), ("password=", ""), ("pin: ", ""), ("Bearer ", ""),
    ("bearer a", " "), ("secret-", ""), ("token", ""), ("-----BEGIN PRIVATE KEY-----", ""), ("Private-Lines: ", ""),
    ("eyJ", "a."), ("A1", ""), ("A1 ", ""), ("1-", ""), ("1 ", ""), ("0 1", ""), (":", ""), ("f:", ""), ("1.", ""),
    ("+1 ", ""), ("(01) ", ""), ("call me ", ""), ("ignore ", ""), ("classify ", "as "), ("label ", ""), ("a b ", ""),
    ("%41", ""), ("\\u0061", ""), ("41 ", ""), ("QUJD", ""), ("VPN Connection Issue ", ""), ("the answer is ", ""),
    ("\u200b", ""), ("a\u200b", ""), ("\U000e0041", ""), ("\uff41", ""), ("e\u0301", ""), ("\u0301", ""),
    ("\u0327\u0301", ""), ("\ufdfa", ""), ("İ", ""), ("\x01", ""), ("\ud800", ""), ("_", ""), ("#", ""),
    (".", ""), (";", ""),
    ("Request type: ", ""), ("* ", ""), ("<think>", ""), ("'", ""), ("' ", '"'), ("\t", ""), ("\r", ""), ("/", ""),
]  # fmt: skip


@dataclass(frozen=True)
class Growth:
    """The processor's seconds for each size, as far as they were waited for."""

    shape: tuple[str, str]
    seconds: list[float]

    @property
    def ratio(self) -> float:
        """The greatest from one size to the next among those that take long enough to be told apart."""
        return max((later / before for before, later in pairwise(self.seconds) if before > _NOTHING), default=0.0)


def text(shape: tuple[str, str], size: int) -> str:
    """A text of about `size` bytes."""
    first, then = shape
    then = then or first
    return first * (size // 2 // _bytes(first)) + then * (size // 2 // _bytes(then))


def _bytes(piece: str) -> int:
    return len(piece.encode("utf-8", "surrogatepass"))


def seconds(read: Reader, source: str) -> float:
    """How long it takes to read the text, of this thread's processor time."""
    began = time.thread_time()
    read(source)
    return time.thread_time() - began


def measured(read: Reader) -> Growth:
    """The growth of the shape that costs this reader most."""
    scanned = []
    for shape in SHAPES:
        short, long = (seconds(read, text(shape, size)) for size in _SCANNED)
        scanned.append((long * max(1.0, long / max(short, 0.002) / 4), shape))
    worst = [shape for _, shape in sorted(scanned, reverse=True)[:_WORST]]
    grown = [Growth(shape, list(_seconds(read, shape))) for shape in worst]
    return max(grown, key=lambda growth: (growth.ratio > _GOAL, growth.seconds[-1]))


def _seconds(read: Reader, shape: tuple[str, str]) -> Iterator[float]:
    for size in SIZES:
        took = seconds(read, text(shape, size))
        yield took
        if took > _PATIENCE:
            return


def line(name: str, grown: Growth) -> Line:
    """A reader's line in the table."""
    size = SIZES[len(grown.seconds) - 1] / 1000
    shape = " ".join(ascii(piece) for piece in grown.shape if piece)
    met = grown.ratio < _GOAL and len(grown.seconds) == len(SIZES)
    told = f"{grown.seconds[-1]:.2f} s for {size:,.0f} kB"
    return Line(f"growth: {name}", told, shape, f"x {grown.ratio:.1f} a doubling", f"< x {_GOAL:.0f}", met)


def _field(schema: TicketIn, name: str, text: str) -> object:
    return schema.validate({"id": "1", "short_description": "x"} | {name: text})


def _fields() -> dict[str, Reader]:
    schema = TicketIn()
    names = ("id", "short_description", "long_description", "requester_email", "priority", "url", "created_at")
    return {f"field {name}": partial(_field, schema, name) for name in names}


def _body(kind: str, before: str, after: str) -> Reader:
    def read(text: str) -> None:
        body = f"{before}{text}{after}".encode("utf-8", "surrogatepass")
        with suppress(ValueError):
            bodies.decode(body, kind, "", lenient=True, max_bytes=10 * len(body))

    return read


def _document(text: str) -> str:
    paragraph = {"type": "paragraph", "content": [{"type": "text", "text": text}]}
    return readable({"type": "doc", "content": [{"type": "blockquote", "content": [paragraph]}]}, "adf")


def readers() -> dict[str, Reader]:
    """Every function through which a text of a sender goes, by what it makes of it."""
    entries = catalog.shipped()
    names, prompt = list(entries.labels), Prompt(entries, redacted=True)
    forms = ("html", "text", "markdown", "adf")
    return {
        **{f"text of {form}": partial(readable, form=form) for form in forms},
        "document of Jira": _document,
        **_fields(),
        "body of JSON": _body("application/json", "", ""),
        "body of a template": _body("application/json", '{"id": "1", "text": "', '", "more": 1}'),
        "body of a form": _body("application/x-www-form-urlencoded", "text=", ""),
        "mask": lambda text: secret_masking.masked(text, ["abcdefgh"]),
        "mask in JSON": lambda text: secret_masking.masked(json.dumps({"text": text}), ["abcdefgh"]),
        "redact": redact,
        "sanitise": sanitise,
        "steering": lambda text: prompt_injection.detect(text, names),
        "local engine": lambda text: evidence.evidence(TicketText(text, text)),
        "linear model": lambda text: linear.terms(linear.text_of(TicketText(text, text))),
        "prompt": lambda text: prompt.messages(TicketText(text, text), ()),
        "answer's key": lambda text: prompt.cache_key(TicketText(text, text), (), "model"),
        "highlight": lambda text: highlight.pieces(text, text),
        "search": search_index.plain,
        "CSV": lambda text: list(spreadsheet.as_csv([[text]])),
        "XLSX": lambda text: list(spreadsheet.as_xlsx([[text]])),
        "cell of the workbook": cells.plain,
    }


def run() -> list[Line]:
    """A line for each reader."""
    return [line(name, measured(read)) for name, read in readers().items()]
