"""Training: a linear model of the reviewed tickets, which takes over only where it proves better on held-out ones."""

import logging
import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from jobs.classification import learning
from jobs.classification.current_catalog import current_catalog
from jobs.classification.engines.base import Example
from jobs.classification.engines.linear import Label, Linear, terms, text_of
from jobs.classification.engines.local import LocalEngine
from receiver.catalog import Catalog
from receiver.db import examples, linear_models
from receiver.db.database import Database, opened
from receiver.db.models import LinearModel
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure

# Below these a linear model has hardly ever seen what it is asked about.
MIN_EXAMPLES, MIN_ENTRIES, MIN_OF_AN_ENTRY = 300, 3, 20
MAX_TRAINED = 50_000
# An entry of fewer examples is left to the rival; held-out tickets of it count as wrong.
_FEWEST = 5
_FOLDS, _COMPARED = 3, 1_000
_MOST_TERMS, _MOST_WEIGHTS = 60_000, 4_000_000
_PENALTY = 0.5
_SIGNIFICANT = 1.96  # Standard errors: one in forty equals would pass for better.

log = logging.getLogger(__name__)


def train() -> None:
    """The job of the queue `training`. Safe to run twice: where no example is new, it does nothing."""
    os.nice(10)  # Tickets that wait to be classified come first.
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        train_on(db, current_catalog(db, config))


def train_on(db: Database, catalog: Catalog) -> LinearModel | None:
    """Train a model, compare it with the local engine, and put it in force where it wins clearly.

    None where the examples are too few, or those of the last training.
    """
    with db.read() as session:
        extent, last = examples.extent(session), linear_models.latest(session)
        if extent[0] < MIN_EXAMPLES or (last and extent == (last.known_count, last.known_newest)):
            return None
        found = learning.in_catalog(session, catalog, MAX_TRAINED)
    if not is_enough(found):
        return None
    trial = compare(found, catalog)
    linear = fit(found, _frequent(found), trial.temperature)
    made = LinearModel(
        created_at=now(),
        examples=len(found),
        known_count=extent[0],
        known_newest=extent[1],
        accuracy=trial.accuracy,
        rival_accuracy=trial.rival_accuracy,
        in_force=trial.is_won,
        weights=linear.to_bytes() if trial.is_won else None,
    )
    return _save(db, made, extent)


def _save(db: Database, made: LinearModel, extent: tuple[int, int]) -> LinearModel | None:
    """Keep the model, unless somebody was erased whose text it has seen."""
    with db.write() as session:
        if not examples.are_still(session, extent):
            log.info("An example was withdrawn while a model was trained with it; the model is dropped with it")
            return None
        linear_models.save(session, made)
    log.info(
        "The linear model of %d examples is right on %.1f %% of held-out ones, the local engine on %.1f %%: it is %s",
        made.examples, 100 * made.accuracy, 100 * made.rival_accuracy, "in force" if made.in_force else "not used",
    )  # fmt: skip
    return made


def label_of(example: Example) -> Label:
    """What a person said it is."""
    return example.category, example.request_type


def is_enough(found: Sequence[Example]) -> bool:
    """Whether there are examples enough to learn from: 300, and 20 of each of 3 entries."""
    well_known = [label for label, count in Counter(map(label_of, found)).items() if count >= MIN_OF_AN_ENTRY]
    return len(found) >= MIN_EXAMPLES and len(well_known) >= MIN_ENTRIES


def _frequent(found: Sequence[Example]) -> set[Label]:
    return {label for label, count in Counter(map(label_of, found)).items() if count >= _FEWEST}


def fit(found: Sequence[Example], labels: Collection[Label], temperature: float = 1.0) -> Linear:
    """A model of those examples that are of one of these labels (three at least)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    names = sorted(labels)
    numbers = {label: number for number, label in enumerate(names)}
    used = [example for example in found if label_of(example) in numbers]
    size = min(_MOST_TERMS, _MOST_WEIGHTS // len(names))
    weigh = TfidfVectorizer(analyzer=terms, sublinear_tf=True, min_df=2, max_features=size, dtype=np.float32)
    matrix = weigh.fit_transform([text_of(example.text) for example in used])
    machine = LinearSVC(C=_PENALTY, random_state=0).fit(matrix, [numbers[label_of(example)] for example in used])
    vocabulary = {term: int(number) for term, number in weigh.vocabulary_.items()}
    return Linear(names, vocabulary, weigh.idf_, machine.coef_.T, machine.intercept_, temperature)


@dataclass(frozen=True)
class Trial:
    """How linear models and the local engine did on the same held-out examples, one pair of outcomes for each."""

    outcomes: Sequence[tuple[bool, bool]]
    temperature: float

    @property
    def accuracy(self) -> float:
        """The linear models' share of right answers."""
        return sum(right for right, _ in self.outcomes) / len(self.outcomes)

    @property
    def rival_accuracy(self) -> float:
        """The local engine's share of right answers."""
        return sum(right for _, right in self.outcomes) / len(self.outcomes)

    @property
    def is_won(self) -> bool:
        """Whether the linear models are better beyond chance (McNemar 1947): only where they differ counts."""
        better = sum(right and not rival for right, rival in self.outcomes)
        worse = sum(rival and not right for right, rival in self.outcomes)
        return better - worse > _SIGNIFICANT * sqrt(better + worse)


def compare(found: Sequence[Example], catalog: Catalog) -> Trial:
    """Train on two thirds of the examples, ask about the other third, three times round.

    The local engine is taught as many of the same examples as it is in earnest. At most 1,000 are asked about.
    """
    labels = _frequent(found)
    outcomes: list[tuple[bool, bool]] = []
    scores: list[Any] = []
    truths: list[int] = []
    for asked, known in _folds(found):
        linear, rival = fit(known, labels), LocalEngine(catalog)
        rival.learn(known[: learning.MAX_EXAMPLES])
        for example in asked:
            score, truth = linear.scores(text_of(example.text)), label_of(example)
            guess = catalog.labels[rival.propose(example.text).label]
            outcomes.append((linear.labels[int(score.argmax())] == truth, (guess.category, guess.name) == truth))
            if truth in labels:
                scores.append(score)
                truths.append(linear.labels.index(truth))
    return Trial(outcomes, temperature_of(np.array(scores), np.array(truths)))


def _folds(found: Sequence[Example]) -> list[tuple[list[Example], list[Example]]]:
    """Three pairs of examples to ask about and the others; every third of a sorted list holds its share of each."""
    ordered = sorted(found, key=lambda example: (label_of(example), example.id))
    step = max(1, len(found) // _COMPARED)
    folds = []
    for first in range(_FOLDS):
        held_out = ordered[first::_FOLDS]
        ids = {example.id for example in held_out}
        folds.append((held_out[::step], [example for example in found if example.id not in ids]))
    return folds


def temperature_of(scores: Any, truths: Any) -> float:
    """The temperature under which held-out truths are most probable; one row of scores for each truth's column."""

    def surprise(temperature: float) -> float:
        heated = scores / temperature
        heated -= heated.max(axis=1, keepdims=True)
        likely = heated[np.arange(len(truths)), truths] - np.log(np.exp(heated).sum(axis=1))
        return float(-likely.mean())

    return float(min(np.geomspace(0.02, 5, 120), key=surprise))
