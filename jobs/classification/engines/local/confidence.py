"""From scores to a confidence that means what it says, for any catalog.

What tells right from wrong is how far the best entry is ahead of the second. How much a distance means depends on how
the catalog is written, so its unit is taken from the catalog itself: its own examples are scored as if they were
tickets, and the temperature is that under which the right entries are most likely (temperature scaling,
https://arxiv.org/abs/1706.04599). Tickets are more misleading than such examples, by an amount that was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.classification.engines.local.ngrams import Scores

_TEMPERATURES = np.geomspace(0.01, 0.3, 60)
# Platt's slope and offset (https://doi.org/10.7551/mitpress/1113.003.0008) of the log-odds of the best entry against
# the second: for bare names, and for endless examples. Between them, the more examples an entry has, the nearer to the
# latter; _HALFWAY is where it is half way. Fitted on 206 tickets by two hands, under ten catalogs from names alone to
# 26 examples an entry, and rounded.
_BARE, _RICH, _HALFWAY = np.array([0.8, -1.3]), np.array([0.4, 0.7]), 5
# What holds where there are no examples, and counts as much as so many do.
_BARE_TEMPERATURE, _BARE_FAMILIAR, _BARE_WEIGHT = 0.08, 0.15, 20
# Of the weakest tenth of a catalog's own examples; a ticket below that says nothing the catalog knows.
_FAMILIAR = 0.8
_NOTHING = -1.0  # The score of what has nothing in common with a ticket.


@dataclass(frozen=True)
class Scale:
    """`temperature` turns differences of scores into odds; a best score below `familiar` is no evidence.

    `slope` and `offset` make what is true of tickets out of what is true of the catalog's examples.
    """

    temperature: float
    familiar: float
    slope: float
    offset: float

    def confidence(self, scores: Scores) -> float:
        """How likely the best entry is to be the right one, between 0 and 1."""
        second, best = np.sort(scores)[-2:] if len(scores) > 1 else (_NOTHING, scores[0])
        right = 1 / (1 + np.exp(-(self.slope * (best - second) / self.temperature + self.offset)))
        return float(right * np.clip(best / self.familiar, 0, 1))


def fitted(scores: Scores, truths: Sequence[int], examples: float) -> Scale:
    """The scale under which each row's `scores` best tell its truth; nearer that of bare names the fewer there are.

    `examples` is how many there are of an entry, on average.
    """
    bare = np.array([np.log(_BARE_TEMPERATURE), _BARE_FAMILIAR])
    count = len(truths) if scores.shape[1] > 1 else 0
    own = count / (count + _BARE_WEIGHT)
    measured = bare
    if count:
        losses = [_loss(scores, truths, temperature) for temperature in _TEMPERATURES]
        best = _TEMPERATURES[int(np.argmin(losses))]
        measured = np.array([np.log(best), _FAMILIAR * np.quantile(scores.max(axis=1), 0.1)])
    # The more examples of its own a catalog has, the less counts what holds for catalogs without any.
    temperature, familiar = own * measured + (1 - own) * bare
    rich = examples / (examples + _HALFWAY)
    slope, offset = rich * _RICH + (1 - rich) * _BARE
    return Scale(float(np.exp(temperature)), max(float(familiar), _BARE_FAMILIAR), float(slope), float(offset))


def _loss(scores: Scores, truths: Sequence[int], temperature: float) -> float:
    """The mean negative log-likelihood of the right entries, when softmax makes probabilities of the scores."""
    # Without the greatest score taken off, the powers of a low temperature would overflow.
    powers = np.exp((scores - scores.max(axis=-1, keepdims=True)) / temperature)
    shares = powers / powers.sum(axis=-1, keepdims=True)
    return float(-np.log(shares[np.arange(len(truths)), list(truths)] + 1e-12).mean())
