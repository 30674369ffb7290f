"""From scores to a confidence that means what it says, for any catalog.

How far scores lie apart depends on how richly a catalog is written, so the scale is taken from the catalog itself:
its own examples are scored as if they were tickets, and the temperature is that under which the right entries are
most likely (temperature scaling, https://arxiv.org/abs/1706.04599).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jobs.engines.local.ngrams import Scores

_TEMPERATURES = np.geomspace(0.01, 0.3, 60)
# A ticket is more misleading than a catalog's examples: what they make odds of a hundred to one is six to one. Platt's
# slope and offset (https://doi.org/10.7551/mitpress/1113.003.0008), fitted on 264 tickets by two hands that knew
# nothing but the names of two catalogs.
_SLOPE, _OFFSET = 0.36, 0.36
# What holds for a catalog of bare names, and counts as much as so many examples do.
_BARE_TEMPERATURE, _BARE_FAMILIAR, _BARE_SLOPE, _BARE_WEIGHT = 0.08, 0.15, 0.8, 20
# Of the weakest tenth of a catalog's own examples; a ticket below that says nothing the catalog knows.
_FAMILIAR = 0.8
_LIMITS = (1e-6, 1 - 1e-6)


@dataclass(frozen=True)
class Scale:
    """`temperature` turns differences of scores into odds; a best score below `familiar` is no evidence.

    `described` is 0 for a catalog of bare names, and nears 1 the more examples there are.
    """

    temperature: float
    familiar: float
    described: float

    def shares(self, scores: Scores) -> Scores:
        """How likely each entry is; they add up to one."""
        return _softmax(scores, self.temperature)

    def confidence(self, scores: Scores) -> float:
        """How likely the best entry is to be the right one, between 0 and 1."""
        share = np.clip(self.shares(scores).max(), *_LIMITS)
        log_odds = np.log(share / (1 - share))
        bare = _sigmoid(_BARE_SLOPE * log_odds)
        right = self.described * _sigmoid(_SLOPE * log_odds + _OFFSET) + (1 - self.described) * bare
        return float(right * np.clip(scores.max() / self.familiar, 0, 1))


def fitted(scores: Scores, truths: Sequence[int]) -> Scale:
    """The scale under which each row's `scores` best tell its truth; nearer that of bare names the fewer there are."""
    bare = np.array([np.log(_BARE_TEMPERATURE), _BARE_FAMILIAR])
    count = len(truths) if scores.shape[1] > 1 else 0
    described = count / (count + _BARE_WEIGHT)
    temperature, familiar = described * (_own(scores, truths) if count else bare) + (1 - described) * bare
    return Scale(float(np.exp(temperature)), max(float(familiar), _BARE_FAMILIAR), described)


def _own(scores: Scores, truths: Sequence[int]) -> Scores:
    losses = [_loss(scores, truths, temperature) for temperature in _TEMPERATURES]
    best = _TEMPERATURES[int(np.argmin(losses))]
    return np.array([np.log(best), _FAMILIAR * np.quantile(scores.max(axis=1), 0.1)])


def _loss(scores: Scores, truths: Sequence[int], temperature: float) -> float:
    shares = _softmax(scores, temperature)[np.arange(len(truths)), list(truths)]
    return float(-np.log(shares + 1e-12).mean())


def _sigmoid(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))


def _softmax(scores: Scores, temperature: float) -> Scores:
    powers = np.exp((scores - scores.max(axis=-1, keepdims=True)) / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
