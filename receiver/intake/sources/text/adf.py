"""Atlassian's document format to text.

Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

_DEEPEST = 50
_MOST_NODES = 50_000
_MOST_TEXT = 200_000  # Characters; what is longer is not indented any more either.
_BLOCKS = {
    "paragraph", "heading", "codeBlock", "blockquote", "panel", "rule", "bulletList", "orderedList", "taskList",
    "decisionList", "table", "mediaGroup", "mediaSingle", "expand", "nestedExpand", "blockCard", "embedCard", "caption",
}  # fmt: skip
_NAMED = ("text", "shortName", "title", "alt", "url")  # The attributes that hold what a reader sees, best first.

Node = Mapping[str, object]


def rendered(document: Node) -> str:
    """The text of a document or of any node; an unknown node says what is in it."""
    return _Reader().blocks(document, 0)


class _Reader:
    """Reads a document, so many nodes and characters at most."""

    def __init__(self) -> None:
        self.left, self.text_left = _MOST_NODES, _MOST_TEXT

    def children(self, node: Node) -> Iterator[Node]:
        """The nodes directly below, until the whole document's number of nodes is used up."""
        content = node.get("content")
        for child in content if isinstance(content, list) else ():
            self.left -= 1
            if self.left < 0:
                return
            if isinstance(child, Mapping):
                yield child

    def blocks(self, node: Node, depth: int) -> str:
        """The children one after the other: those that are blocks on lines of their own."""
        if depth > _DEEPEST:
            return self.flat(node)
        lines, inline = [], ""
        for child in self.children(node):
            if (kind := str(child.get("type"))) in _BLOCKS or kind.endswith(("Item", "Row")):
                lines += [inline] if inline else []
                inline = ""
                lines.append(self.block(child, depth + 1))
            else:
                inline += self.inline(child, depth + 1)
        return "\n".join([*lines, inline] if inline else lines)

    def block(self, node: Node, depth: int) -> str:
        kind = node.get("type")
        if kind in ("bulletList", "orderedList", "taskList", "decisionList"):
            return self.items(node, depth)
        if kind == "tableRow":  # A row is one line, whatever its cells hold.
            return " | ".join(self.blocks(cell, depth + 1).replace("\n", " ") for cell in self.children(node))
        inside = self.blocks(node, depth)
        if kind == "blockquote" and len(inside) < _MOST_TEXT:
            return "\n".join(f"> {line}" for line in inside.split("\n"))
        title = self.taken(_own_text(node))
        text = "\n".join(part for part in (title, inside) if part)
        return f"{text}\n" if kind in ("paragraph", "heading") and depth == 1 else text

    def items(self, node: Node, depth: int) -> str:
        first = _attributes(node).get("order", 1)
        number = first if isinstance(first, int) else 1
        lines = []
        for item in self.children(node):
            sign = f"{number}. " if node.get("type") == "orderedList" else "- "
            if item.get("type") == "taskItem":
                sign = "[x] " if _attributes(item).get("state") == "DONE" else "[ ] "
            number += 1
            said = self.blocks(item, depth + 1).strip("\n")
            lines.append(sign + (said.replace("\n", "\n  ") if len(said) < _MOST_TEXT else said))
        return "\n".join(lines)

    def inline(self, node: Node, depth: int) -> str:
        kind = node.get("type")
        if kind == "hardBreak":
            return "\n"
        if kind == "text":
            text, marks = node.get("text"), node.get("marks")
            text = text if isinstance(text, str) else ""
            for mark in marks if isinstance(marks, list) else ():
                is_link = isinstance(mark, Mapping) and mark.get("type") == "link"
                target = _attributes(mark).get("href") if is_link else None
                if isinstance(target, str) and target.startswith(("http://", "https://")) and target != text:
                    return self.taken(f"{text} ({target})")
            return self.taken(text)
        if kind == "date":
            try:  # Milliseconds since 1970, as text or as a number.
                timestamp = int(_attributes(node)["timestamp"]) / 1000
                return datetime.fromtimestamp(timestamp, UTC).date().isoformat()
            except (LookupError, TypeError, ValueError, OverflowError, OSError):
                return ""
        return self.taken(_own_text(node)) + self.blocks(node, depth)

    def taken(self, text: str) -> str:
        """As much of a text as there is room for."""
        text = text[: self.text_left]
        self.text_left -= len(text)
        return text

    def flat(self, node: Node) -> str:
        """The text below a node that is nested absurdly deep."""
        found, pending = [], [node]
        while pending:
            node = pending.pop()
            text = node.get("text")
            found.append(self.taken(text if isinstance(text, str) else _own_text(node)))
            pending.extend(reversed(list(self.children(node))))
        return " ".join(part for part in found if part)


def _attributes(node: Node) -> Mapping[str, Any]:
    found = node.get("attrs")
    return found if isinstance(found, Mapping) else {}


def _own_text(node: Node) -> str:
    """What a node says by itself: the name in a mention, the address of a card."""
    attributes = _attributes(node)
    said = next((attributes[name] for name in _NAMED if isinstance(attributes.get(name), str) and attributes[name]), "")
    return str(said)
