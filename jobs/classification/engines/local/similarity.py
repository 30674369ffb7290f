"""How like a text is to each entry of the catalog: by meaning, by exact words, and by parts of words."""

from collections.abc import Sequence

import numpy as np

from jobs.classification.engines.local.encoder import Vectors, encode, normal
from jobs.classification.engines.local.entry_texts import Entry
from jobs.classification.engines.local.ngrams import NgramIndex, Scores

# Round figures amid others that do as well, on three sets of tickets by three hands. A subject is short and says what
# the ticket is about; in the whole text it drowns.
_CENTRE, _NEAREST, _NGRAMS, _HINT = 0.4, 0.6, 0.25, 0.03
SUBJECT = 0.25
_MAX_HINTS = 3
_DRY_RUN_EXAMPLES = 300
_ABSENT = -2.0  # Below any cosine.


class Similarity:
    """The catalog's texts, placed where a ticket can be compared with them."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._vectors = encode([text for entry in entries for text in entry.texts])
        counts = [len(entry.texts) for entry in entries]
        self._starts = np.cumsum([0, *counts[:-1]])
        self._places = np.repeat(np.arange(len(entries)), counts)
        self._ngrams = NgramIndex([" ".join(entry.texts) for entry in entries])
        self._centres = normal(np.add.reduceat(self._vectors, self._starts))

    def scores(self, text: str, vector: Vectors, subject: Vectors) -> Scores:
        """One score for each entry; `vector` is that of the whole `text`, `subject` that of its subject."""
        both = np.stack([vector, subject])
        meaning = _CENTRE * (both @ self._centres.T) + _NEAREST * self._best_two(both @ self._vectors.T)
        words = _NGRAMS * self._ngrams.scores(text) + _HINT * self._hints(text)
        return np.asarray((1 - SUBJECT) * meaning[0] + SUBJECT * meaning[1] + words)

    def is_noise(self, text: str) -> bool:
        """Whether the text is none of the words of any language that the catalog is written in."""
        return self._ngrams.is_noise(text)

    def nearest(self, place: int, vector: Vectors) -> str:
        """The text of the entry at `place` that is most like the ticket."""
        start = self._starts[place]
        texts = self._entries[place].texts
        return texts[int(np.argmax(self._vectors[start : start + len(texts)] @ vector))]

    @property
    def examples(self) -> float:
        """How many examples an entry has, on average."""
        return sum(len(entry.texts) - entry.descriptions for entry in self._entries) / len(self._entries)

    def dry_run(self) -> tuple[Scores, list[int]]:
        """The scores of the catalog's own examples, each as if it were not in the catalog, and whose they are."""
        # Evenly spread, and of entries that have others left.
        examples = [
            int(start) + offset
            for start, entry in zip(self._starts, self._entries, strict=True)
            for offset in range(entry.descriptions, len(entry.texts))
            if len(entry.texts) > 2
        ]
        chosen = examples[:: len(examples) // _DRY_RUN_EXAMPLES + 1]
        truths = [int(self._places[index]) for index in chosen]
        if not chosen:
            return np.empty((0, len(self._entries))), truths
        rows = np.arange(len(chosen))
        vectors = self._vectors[chosen]
        likeness = vectors @ self._vectors.T
        likeness[rows, chosen] = _ABSENT
        # The centre of an example's own entry is where it would be without the example.
        sums = np.add.reduceat(self._vectors, self._starts)
        centred = vectors @ self._centres.T
        centred[rows, truths] = (normal(sums[truths] - vectors) * vectors).sum(axis=1)
        meaning = _CENTRE * centred + _NEAREST * self._best_two(likeness)
        words = []
        for index, place in zip(chosen, truths, strict=True):
            text = self._entries[place].texts[index - int(self._starts[place])]
            shared = self._ngrams.scores(text)
            shared[place] = self._ngrams.score_without(text, place)
            words.append(_NGRAMS * shared + _HINT * self._hints(text))
        return np.asarray(meaning + np.array(words)), truths

    def _best_two(self, likeness: Vectors) -> Vectors:
        """The mean of each entry's two best texts, for each row."""
        best = np.maximum.reduceat(likeness, self._starts, axis=1)
        others = np.where(likeness == best[:, self._places], _ABSENT, likeness)
        second = np.maximum.reduceat(others, self._starts, axis=1)
        return np.asarray((best + np.where(second > _ABSENT, second, best)) / 2)

    def _hints(self, text: str) -> Scores:
        return np.array([min(_MAX_HINTS, len(entry.hits(text))) for entry in self._entries], dtype=np.float64)
