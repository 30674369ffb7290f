"""JMESPath as operators write it: right, wrong, and hostile."""

import json
from typing import Any

import pytest
from marshmallow import ValidationError

from receiver.intake.sources.expressions import Expression


@pytest.mark.parametrize(
    ("text", "document", "found"),
    [
        ("a.b", {"a": {"b": 1}}, 1),
        ("a || b", {"a": "", "b": "x"}, "x"),
        ("a.b.c", {"a": [1]}, None),
        ("length(a)", {"a": 5}, None),
        ("join('', [origin(self), '/browse/', key])", {"self": "https://a.example:8/rest", "key": "K-1"},
         "https://a.example:8/browse/K-1"),
        ("origin(self)", {"self": "https://[broken"}, None),
        ("origin(self)", {"self": "no address"}, None),
        ("\"a.b\"", {"a.b": 2}, 2),
    ],
)  # fmt: skip
def test_a_path_finds_what_is_there_or_nothing(text: str, document: Any, found: Any) -> None:
    assert Expression(text)(document) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "a..b", "a[", "nope(", "'", "a" * 501, "(" * 300, "[" * 400, "a" + ".a" * 300,
        " | ".join(["[@,@][]"] * 20), " | ".join(["join('',[@,@])"] * 20), "[@,@,@,@,@,@,@,@,@].[@,@,@,@,@,@,@,@,@]",
        "{a:@,b:@}" + ".{a:@,b:@}" * 6, "join(to_string(@), keys(@))", "to_string(to_array(" * 10 + "@" + "))" * 10,
    ],
)  # fmt: skip
def test_a_path_that_is_wrong_or_would_grow_without_end_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Expression(text)


def test_nested_documents_do_not_break_a_path() -> None:
    deep = json.loads("[" * 400 + "]" * 400)
    assert Expression("[0][0].a")(deep) is None
    assert Expression("[][][]")(deep) is not None
