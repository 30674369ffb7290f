"""Whether a model's answer is read in time that grows as its size does, whatever its shape.

Each shape is read at half a megabyte and at the largest size that the client takes, in each place of an answer. The
limit is the same growth as that of the size; what is quadratic would grow by its square.
"""

import json
import time
from collections.abc import Callable

from benchmarks.stack import Line
from jobs.classification.engines.deadline_client import MAX_ANSWER
from jobs.classification.engines.llm import completion
from jobs.classification.engines.llm.answer import find

SMALL, LARGE = MAX_ANSWER // 4, MAX_ANSWER
SHAPES = {
    "open thoughts": "<think>",
    "closed thoughts": "</think>",
    "open objects": "{",
    "open texts": '{"a":"',
    "empty lines": "\n",
    "lines": "confidence: ***** x\n",
    "harmony": "<|channel|>",
    "half marks": "<|a",
    "closing braces": "}",
    "answers": '{"request_type": "a"} ',
    "quotes": '"',
    "backslashes": "\\",
}
PLACES: dict[str, Callable[[str], str]] = {
    "content": lambda text: json.dumps({"choices": [{"message": {"content": text}}]}),
    "thoughts": lambda text: json.dumps({"choices": [{"message": {"reasoning": text}}]}),
    "parts": lambda text: json.dumps({"choices": [{"message": {"content": [text[:20]] * (len(text) // 25)}}]}),
    "body": lambda text: text,
    "stream": lambda text: "data: " + text.replace("\n", "\ndata: "),
}
_GROWTH = LARGE / SMALL
_LEAST_SECONDS = 0.02  # Below it the clock says more than the reader.


def run() -> list[Line]:
    """The line of the shape whose reading grows most."""
    slowest, worst, where = 0.0, 0.0, ""
    for place, wrap in PLACES.items():
        for shape, piece in SHAPES.items():
            small, large = (_seconds(wrap(piece * (size // len(piece)))) for size in (SMALL, LARGE))
            growth = large / max(small, _LEAST_SECONDS)
            slowest = max(slowest, large)
            if growth > worst:
                worst, where = growth, f"{shape} in the {place}"
    ratio = worst / _GROWTH
    measured = f"{worst:.1f} times as long ({where}); the slowest {slowest:.2f} s of a core"
    limit = f"{_GROWTH:.0f} times the size, {LARGE / 1e6:.1f} MB"
    return [Line("answers", measured, limit, f"{ratio:.2f}", "<= 1.5", ratio <= 1.5)]


def _seconds(body: str) -> float:
    started = time.process_time()
    find(completion.read(body.encode()), plain=True, labels=["a"])
    return time.process_time() - started
