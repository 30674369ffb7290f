"""Which phrases of a text its reason names."""

from hypothesis import given
from hypothesis import strategies as st

from receiver.web.dashboard.highlight import pieces

TEXT = "Since Monday FortiClient says: no route to host. I also need a new mouse."


def _marked(text: str, reason: str) -> list[str]:
    return [piece for piece, is_marked in pieces(text, reason) if is_marked]


def test_the_longest_phrase_that_the_reason_repeats_is_marked() -> None:
    assert _marked(TEXT, 'FortiClient and "no route to host"') == ["FortiClient", "route to host"]


def test_common_words_alone_are_not() -> None:
    assert _marked(TEXT, "I need to say that this is also since new") == []


def test_case_does_not_matter_and_parts_of_words_are_not_marked() -> None:
    assert _marked("MOUSE mousepad", "names mouse") == ["MOUSE"]


@given(st.text(max_size=200), st.text(max_size=200))
def test_the_pieces_are_the_text(text: str, reason: str) -> None:
    assert "".join(piece for piece, _ in pieces(text, reason)) == text
