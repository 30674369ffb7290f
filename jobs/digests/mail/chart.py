"""The mail's chart: tickets by category as bars, drawn at twice its size so that it is crisp on every screen."""

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH = 552  # As it is shown.
# On a phone it is shown at little more than half its size, and is still to be read.
_SCALE, _ROW, _BAR, _TEXT, _MARGIN = 2, 28, 14, 15, 4
_LABEL_WIDTH, _COUNT_WIDTH, _LONGEST = 212, 58, 80
# On no background of its own, so its colours must show on white and on black.
_LABEL, _ACCENT, _UNSURE = "#767680", "#6366f1", "#d97706"
MOST = 8

Bar = tuple[str, int, int]  # A category, its tickets, and how many of them need review.


def height(bars: int) -> int:
    """How high the chart of so many bars is shown."""
    return _ROW * bars + 2 * _MARGIN


def draw(bars: Sequence[Bar]) -> bytes:
    """The PNG of these bars, the part that needs review in a colour of its own."""
    image = Image.new("RGBA", (WIDTH * _SCALE, height(len(bars)) * _SCALE))
    canvas, font = ImageDraw.Draw(image), _font()
    largest = max((count for _, count, _ in bars), default=0) or 1
    for row, (category, count, unsure) in enumerate(bars):
        middle = (_MARGIN + _ROW * row + _ROW // 2) * _SCALE
        label = category[:_LONGEST] if _has_letters(category[:_LONGEST]) else f"#{row + 1}"
        canvas.text((0, middle), _fitting(label), font=font, fill=_LABEL, anchor="lm")
        room = (WIDTH - _LABEL_WIDTH - _COUNT_WIDTH) * _SCALE
        length = max(room * count // largest, 2 * _SCALE)
        _bar(canvas, middle, length, length * unsure // count if count else 0)
        end = _LABEL_WIDTH * _SCALE + length + 8 * _SCALE
        canvas.text((end, middle), str(count), font=font, fill=_LABEL, anchor="lm")
    buffer = io.BytesIO()
    image.quantize(64, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _bar(canvas: ImageDraw.ImageDraw, middle: int, length: int, unsure: int) -> None:
    left, half = _LABEL_WIDTH * _SCALE, _BAR * _SCALE // 2
    canvas.rounded_rectangle((left, middle - half, left + length, middle + half), 3 * _SCALE, fill=_ACCENT)
    if unsure:
        canvas.rounded_rectangle(
            (left + length - unsure, middle - half, left + length, middle + half), 3 * _SCALE, fill=_UNSURE
        )


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        Path(__file__).with_name("fonts") / "DejaVuSans.ttf", _TEXT * _SCALE, layout_engine=ImageFont.Layout.BASIC
    )


def _has_letters(text: str) -> bool:
    """Whether the font can write all of it; it has the letters of European languages, and for others one box."""
    box = bytes(_font().getmask("\uffff"))
    return all(letter == " " or (letter.isprintable() and bytes(_font().getmask(letter)) != box) for letter in text)


def _fitting(text: str) -> str:
    """The text, cut where it would reach the bars."""
    room = (_LABEL_WIDTH - 12) * _SCALE
    if _font().getlength(text) <= room:
        return text
    while text and _font().getlength(text + "…") > room:
        text = text[:-1]
    return text.rstrip() + "…"
