"""A catalog's YAML nodes read as mappings, lists and texts; what is wrong is noted with its line."""

import re

import yaml

from receiver.catalog.entries import CatalogError, Fault

MAX_FAULTS = 10
_MAX_MERGES = 10
_KINDS = {yaml.ScalarNode: "a text", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
_MERGE, _NULL = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:null"
# What no name, text or list entry may hold; line breaks and tabs are only wrong in a name.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_NOT_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff\ufffe\uffff]")

Fields = dict[str, yaml.Node]


class Reader:
    """Reads on after a mistake, so that one look tells of up to MAX_FAULTS. The last one ends it with CatalogError."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def note(self, node: yaml.Node | None, message: str) -> None:
        """There is a mistake where `node` begins, or in the first line where there is none."""
        self.faults.append(Fault(node.start_mark.line + 1 if node else 1, message))
        if len(self.faults) == MAX_FAULTS:
            self.finish()

    def finish(self) -> None:
        """Raises CatalogError where there was a mistake."""
        if self.faults:
            raise CatalogError.of(*sorted(self.faults, key=lambda fault: fault.line))

    def fields(self, node: yaml.Node | None, what: str, merges: int = 0) -> Fields:
        """A mapping's values by their keys, those merged into it by `<<` included."""
        if merges > _MAX_MERGES:  # A mapping may merge itself by an alias, without end.
            self.note(node, f"{what} goes through too many merges")
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.note(node, f"{what} must be a mapping, not {kind_of(node)}")
            return {}
        found: Fields = {}
        merged: Fields = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    merged = self.fields(part, "what << merges", merges + 1) | merged
            elif not isinstance(key, yaml.ScalarNode):
                self.note(key, f"a key must be a text, not {kind_of(key)}")
            elif key.value in found:
                self.note(key, f"the key {quoted(key.value)} stands twice in {what}")
            else:
                found[key.value] = value
        return merged | found

    def items(self, node: yaml.Node | None, what: str, limit: int) -> list[yaml.Node]:
        """A list's values; no list at all is an empty one."""
        if is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.note(node, f"{what} must be a list, not {kind_of(node)}")
            return []
        if len(node.value) > limit:
            self.note(node, f"{what} must be at most {limit}, not {len(node.value)}")
            return []
        return list(node.value)

    def texts(self, node: yaml.Node | None, what: str, limit: int, length: int) -> tuple[str, ...]:
        """A list of at most `limit` texts; what is empty is left out."""
        found = [self.text(item, f"an entry of {what}", length) for item in self.items(node, what, limit)]
        return tuple(text for text in found if text)

    def text(self, node: yaml.Node | None, what: str, length: int) -> str:
        """A text as it is written, so that No is "No" and 1.50 is "1.50"; empty where there is none."""
        if node is None or is_null(node):
            return ""
        if not isinstance(node, yaml.ScalarNode):
            self.note(node, f"{what} must be a text, not {kind_of(node)}")
            return ""
        found = str(node.value).strip()
        if len(found) > length:
            self.note(node, f"{what} must have at most {length} characters, not {len(found)}")
        elif control := _CONTROL.search(found):
            self.note(node, f"{what} holds the control character U+{ord(control[0]):04X}; remove it")
        else:
            return found
        return ""

    def name(self, node: yaml.Node | None, parent: yaml.Node, what: str) -> str:
        """A text of one line that is not empty; `parent` is where it should stand."""
        faults = len(self.faults)
        found = self.text(node, f"the name of {what}", 200)
        if not found and len(self.faults) == faults:
            self.note(node or parent, f"{what} has no name")
        if invisible := _NOT_ONE_LINE.search(found):
            self.note(node, f"the name {quoted(found)} holds U+{ord(invisible[0]):04X}; a name is one visible line")
            return ""
        return found


def is_null(node: yaml.Node | None) -> bool:
    """Whether nothing is written there."""
    return node is None or bool(node.tag == _NULL)


def kind_of(node: yaml.Node | None) -> str:
    """What a person would call it."""
    return "nothing" if node is None or is_null(node) else _KINDS[type(node)]


def quoted(text: str) -> str:
    """The text for a message: short, and on one line."""
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
