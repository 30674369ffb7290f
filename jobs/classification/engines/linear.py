"""A linear model over words and parts of words, trained on reviewed tickets; applied with numpy alone.

Trained by `jobs.classification.training`. Where there are hundreds of examples of an entry, it reads real tickets
better than a sentence encoder does (TF-IDF with a linear support vector machine).
"""

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from jobs.classification.engines.base import TicketText

Label = tuple[str, str]

MAX_TEXT = 8_000
_FORMAT = 1
_ADDRESS = re.compile(r"(?<!\S)\S+@\S+")
_WORD = re.compile(r"[^\W\d_]\w*")
_RUN = 4

_Array = np.ndarray[Any, np.dtype[Any]]


def text_of(ticket: TicketText) -> str:
    """The text that stands for a ticket, in training and later; a long one ends early."""
    return f"{ticket.short_description}\n{ticket.long_description}"[:MAX_TEXT]


def terms(text: str) -> list[str]:
    """What the model sees of a text: words, pairs of neighbours, and runs of four letters within words.

    Neither numbers nor mail addresses are among them: they say who or which one, not what about.
    """
    words = _WORD.findall(_ADDRESS.sub(" ", text.lower()))
    pairs = [f"{one} {other}" for one, other in pairwise(words)]
    padded = [f" {word} " for word in words]
    runs = [f"#{word[start : start + _RUN]}" for word in padded for start in range(max(1, len(word) - _RUN + 1))]
    return words + pairs + runs


class Linear:
    """Says how probable each entry is for a text.

    `vocabulary` numbers the terms; `rarity` is a term's inverse document frequency and `weights` one row per term,
    one column per label; `temperature` makes probabilities of the scores (Guo et al. 2017, On Calibration of Modern
    Neural Networks).
    """

    def __init__(
        self,
        labels: Sequence[Label],
        vocabulary: Mapping[str, int],
        rarity: _Array,
        weights: _Array,
        bias: _Array,
        temperature: float,
    ) -> None:
        self.labels = tuple(labels)
        self._vocabulary, self._rarity = vocabulary, rarity.astype(np.float32)
        # Half the size, and a thousandth is precise enough.
        self._weights, self._bias = weights.astype(np.float16), bias.astype(np.float32)
        self._temperature = temperature

    def probabilities(self, text: str) -> dict[Label, float]:
        """The probability of every label; they add up to 1."""
        scores = self.scores(text) / self._temperature
        shares = np.exp(scores - scores.max())
        return dict(zip(self.labels, (shares / shares.sum()).tolist(), strict=True))

    def scores(self, text: str) -> _Array:
        """How much speaks for each label, in the order of `labels`; the same for all where no term is known."""
        # TF-IDF: how often a term occurs counts by its logarithm, and a rare term counts for more.
        counts = Counter(self._vocabulary[term] for term in terms(text) if term in self._vocabulary)
        if not counts:
            return np.zeros(len(self.labels), dtype=np.float32)
        rows = np.fromiter(counts, dtype=np.intp)
        values = (1 + np.log(np.fromiter(counts.values(), dtype=np.float32))) * self._rarity[rows]
        scores: _Array = values / np.linalg.norm(values) @ self._weights[rows].astype(np.float32) + self._bias
        return scores

    def within(self, labels: Collection[Label]) -> "Linear | None":
        """The same model, which knows none but these labels; None where it knows none of them."""
        kept = [index for index, label in enumerate(self.labels) if label in labels]
        if not kept:
            return None
        names = [self.labels[index] for index in kept]
        return Linear(
            names, self._vocabulary, self._rarity, self._weights[:, kept], self._bias[kept], self._temperature
        )

    def to_bytes(self) -> bytes:
        """Everything, as plain arrays and JSON; nothing in it is ever unpickled."""
        terms_in_order = sorted(self._vocabulary, key=self._vocabulary.__getitem__)
        about = {
            "format": _FORMAT,
            "labels": self.labels,
            "temperature": self._temperature,
            "terms": terms_in_order,
        }
        written = np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), dtype=np.uint8)
        target = io.BytesIO()
        np.savez_compressed(target, about=written, rarity=self._rarity, weights=self._weights, bias=self._bias)
        return target.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Linear":
        """What `to_bytes` wrote. Raises ValueError where another version of this program wrote it."""
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            about = json.loads(kept["about"].tobytes())
            if about["format"] != _FORMAT:
                raise ValueError(f"the linear model has format {about['format']}, this program reads {_FORMAT}")
            labels = [(category, name) for category, name in about["labels"]]
            vocabulary = {term: number for number, term in enumerate(about["terms"])}
            arrays = kept["rarity"], kept["weights"], kept["bias"]
        return cls(labels, vocabulary, *arrays, about["temperature"])
