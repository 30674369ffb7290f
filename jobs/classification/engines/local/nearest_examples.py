"""What reviewed tickets teach without training: what is like one of them, and what a repeat of one is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jobs.classification.engines.base import Example
from jobs.classification.engines.local.encoder import WIDTH, Vectors, encode
from jobs.classification.engines.local.evidence import evidence, subject
from jobs.classification.engines.local.similarity import SUBJECT

REPEAT = 0.68  # Noisy repeats of tickets lie above it, tickets that tell of something else below.
# Of what a linear model in force was trained with, only this counts: of 2,000 reviewed tickets in 8 groups those
# between the two had another label than their like in one of five cases, the model's in one of ten.
VERBATIM = 0.85
# What is less like a reviewed ticket tells of something else; counted as well, three sets by three hands lost by it.
_ALIKE = 0.5


@dataclass(frozen=True)
class NearestExamples:
    """Reviewed tickets, a row of `vectors` and of `subjects` for each.

    It is replaced, never changed, so that threads may read it.
    """

    examples: tuple[Example, ...] = ()
    vectors: Vectors = field(default_factory=lambda: np.empty((0, WIDTH), dtype=np.float32))
    subjects: Vectors = field(default_factory=lambda: np.empty((0, WIDTH), dtype=np.float32))

    def holding(self, examples: Sequence[Example]) -> "NearestExamples":
        """The memory of exactly these examples; only those that are new are encoded."""
        kept = {example.id: row for row, example in enumerate(self.examples)}
        if kept.keys() == {example.id for example in examples}:
            return self
        new = [example for example in examples if example.id not in kept]
        vectors = np.concatenate([self.vectors, encode([evidence(example.text) for example in new])])
        subjects = np.concatenate([self.subjects, encode([subject(example.text) for example in new])])
        places = kept | {example.id: len(self.examples) + row for row, example in enumerate(new)}
        rows = [places[example.id] for example in examples]
        return NearestExamples(tuple(examples), vectors[rows], subjects[rows])

    def nearest(self, vector: Vectors, count: int) -> list[tuple[float, Example]]:
        """The examples most like a ticket, best first, each with its cosine."""
        likeness = self.vectors @ vector
        best = np.argpartition(-likeness, count)[:count] if count < len(likeness) else np.arange(len(likeness))
        return [(float(likeness[row]), self.examples[row]) for row in best[np.argsort(-likeness[best])]]

    def support(self, vector: Vectors, subject: Vectors, places: Mapping[tuple[str, str], int]) -> Vectors:
        """How much speaks for each entry because a ticket reviewed as its is alike; `places` knows all of them."""
        best = np.full(len(places), _ALIKE, dtype=np.float32)
        rows = [places[example.category, example.request_type] for example in self.examples]
        np.maximum.at(best, rows, (1 - SUBJECT) * (self.vectors @ vector) + SUBJECT * (self.subjects @ subject))
        return np.asarray(best - _ALIKE)
