"""Repairs JSON that came out of a hand-written template: texts in it that nobody escaped.

What is mended, and nothing else: control characters, quotation marks and backslashes inside the texts of fields, and
commas before a closing bracket. Text never moves from one field or ticket to another: a text that would have to
swallow a field holds the `":` at the end of that field's name, and then nothing is mended at all.
"""

import re

_LONGEST = 1_000_000  # Characters; what a template makes is one ticket, and the sender waits for the answer.
_MOST_QUOTES = 10_000  # In one text.
_MOST_SIGNS = 100_000  # Brackets, commas and texts; a thousand tickets have a third of that.
_SYNTAX = re.compile(r'["{}\[\],]')
_TRAILING = re.compile(r"\s*[}\]]")
_NAME = re.compile(r'"((?:[^"\\]|\\.)*+)"\s*+:', re.DOTALL)
_QUOTE = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)
_ENDS_NAME = re.compile(r"\s*+:")
# What follows the end of a field's text: the next field, or the end of the object in a plausible place.
_ENDS_FIELD = re.compile(r'\s*+(?:,\s*+(?:"[^"\\]{0,255}"\s*+:|[}])|\}\s*+(?:\Z|[}\],]))')
_UNKNOWN_ESCAPE = re.compile(r'(?:[^\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+\\', re.DOTALL)
_CONTROLS = {code: f"\\u{code:04x}" for code in range(0x20)}
_ESCAPE_OR_QUOTE = re.compile(r'\\.|"', re.DOTALL)


class _AmbiguousError(Exception):
    """There is more than one way to read the text."""


def mended(text: str) -> str | None:
    """`text` with its unescaped texts escaped; None where it cannot be told where a text ends, or it is very long.

    The result may still not be JSON. A text that is JSON already must not be given here.
    """
    if len(text) > _LONGEST:
        return None
    try:
        return _Mender(text).run()
    except _AmbiguousError:
        return None


class _Mender:
    """One pass over a text: `at` is how far it was read, `depth` the open brackets."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.pieces: list[str] = []
        self.depth: list[str] = []
        self.odd = 0  # How many texts hold an odd number of bare quotation marks.

    def run(self) -> str:
        signs = 0
        while found := _SYNTAX.search(self.text, self.at):
            signs += 1
            if signs > _MOST_SIGNS:
                raise _AmbiguousError
            self.keep_up_to(found.start())
            sign = found[0]
            if sign == '"':
                self.mend_string()
            elif sign == "," and _TRAILING.match(self.text, self.at + 1):
                self.at += 1
            else:
                if sign in "{[":
                    self.depth.append(sign)
                elif sign in "}]" and self.depth:
                    self.depth.pop()
                self.keep_up_to(self.at + 1)
        self.keep_up_to(len(self.text))
        return "".join(self.pieces)

    def keep_up_to(self, end: int) -> None:
        self.pieces.append(self.text[self.at : end])
        self.at = end

    def mend_string(self) -> None:
        """A name is kept as it is; a text is mended up to where it must end."""
        name = _NAME.match(self.text, self.at)
        if name and self.depth[-1:] == ["{"]:
            # A name can only stand behind the bracket that opens an object, or behind a comma.
            before = next((piece.rstrip()[-1:] for piece in reversed(self.pieces) if piece.strip()), "")
            if before in ("{", ","):
                self.pieces.append(f'"{_escaped(name[1])}":')
                self.at = name.end()
                return
        start = self.at + 1
        end = self.end_of_text(start)
        self.pieces.append(f'"{_escaped(self.text[start:end])}"')
        self.at = end + 1

    def end_of_text(self, start: int) -> int:
        """Where the closing quotation mark of the text is that begins at `start`."""
        inside, at = 0, start
        while found := _QUOTE.match(self.text, at):
            at = found.end()
            # In a list the first mark ends a text: there is no name behind it by which to know a later one.
            if self.depth[-1:] != ["{"] or _ENDS_FIELD.match(self.text, at):
                # Two texts with an odd number of quotation marks may be one that looked like a field in the middle.
                self.odd += inside % 2
                if self.odd > 1:
                    raise _AmbiguousError
                return at - 1
            if _ENDS_NAME.match(self.text, at):
                raise _AmbiguousError
            inside += 1
            if inside > _MOST_QUOTES:
                break
        raise _AmbiguousError


def _escaped(content: str) -> str:
    """The inside of a text as JSON has it. Whoever writes an escape JSON does not know escapes nothing but quotes."""
    if _UNKNOWN_ESCAPE.match(content):  # Such as a Windows path: then no backslash in this text was meant as JSON's.
        content = re.sub(r'\\(?!")', r"\\\\", content)
    content = _ESCAPE_OR_QUOTE.sub(lambda found: '\\"' if found[0] == '"' else found[0], content)
    return content.translate(_CONTROLS)
