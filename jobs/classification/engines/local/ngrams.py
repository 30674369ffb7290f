"""Runs of four characters: what inflected, compounded and misspelt words still have in common."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

_LENGTH = 4

Scores = np.ndarray[Any, np.dtype[np.float64]]


class NgramIndex:
    """Documents that texts are compared with, by the cosine of their n-grams weighted by rarity."""

    def __init__(self, documents: Sequence[str]) -> None:
        self._size = len(documents)
        self._counts = [Counter(ngrams(text)) for text in documents]
        spread = Counter(gram for counts in self._counts for gram in counts)
        self._rarity = {gram: float(np.log(1 + self._size / count)) for gram, count in spread.items()}
        self._places: dict[str, list[tuple[int, float]]] = {gram: [] for gram in spread}
        self._alphabet = set("".join(spread))
        for place, counts in enumerate(self._counts):
            for gram, weight in self._weighted(counts).items():
                self._places[gram].append((place, weight))

    def scores(self, text: str) -> Scores:
        """How much the text shares with each document, between 0 and 1."""
        found = np.zeros(self._size)
        for gram, weight in self._weighted(Counter(ngrams(text))).items():
            for place, other in self._places[gram]:
                found[place] += weight * other
        return found

    def score_without(self, text: str, place: int) -> float:
        """What the text would share with a document that it is part of, were it not."""
        # Taking its counts away is exact, and far cheaper than an index without it.
        rest = self._weighted(self._counts[place] - Counter(ngrams(text)))
        return sum(weight * rest.get(gram, 0.0) for gram, weight in self._weighted(Counter(ngrams(text))).items())

    def is_noise(self, text: str) -> bool:
        """Whether the text is written in the documents' letters, and yet shares not one run of them."""
        grams = ngrams(text)
        # Another alphabet than the documents' is no noise: the encoder may know the language all the same.
        letters = {letter for gram in grams for letter in gram if letter.isalpha()}
        return letters <= self._alphabet and not any(gram in self._places for gram in grams)

    def _weighted(self, counts: Counter[str]) -> dict[str, float]:
        weights = {gram: count * self._rarity[gram] for gram, count in counts.items() if gram in self._rarity}
        length = sum(weight * weight for weight in weights.values()) ** 0.5 or 1.0
        return {gram: weight / length for gram, weight in weights.items()}


def ngrams(text: str) -> list[str]:
    """The n-grams of the text's words, whose ends count as blanks."""
    words = (f" {word} " for word in re.findall(r"\w+", text.lower()))
    return [word[start : start + _LENGTH] for word in words for start in range(max(1, len(word) - _LENGTH + 1))]
