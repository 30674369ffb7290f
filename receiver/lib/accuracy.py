"""How good answers are: shares with intervals, confusions, coverage and calibration. Pure arithmetic.

A pair is what a person chose and what an engine answered; a scored answer is its confidence and whether it was right.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import pi, sqrt
from statistics import fmean

Pair = tuple[str, str]
Scored = tuple[float, bool]

_BINS = 10
_Z = 1.96  # So many standard deviations hold 95 of 100.


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers of a tenth of the scale of confidence: how many, how sure on average, and what share was right."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """The largest `share` of the answers, the surest first, that keeps to an error budget; `least` is their confidence.

    `least` is None where no answer at all keeps to it.
    """

    share: float
    least: float | None


def wilson(share: float, n: int) -> list[float]:
    """The 95 % score interval of a share observed in `n` trials (Wilson 1927)."""
    middle = share + _Z * _Z / (2 * n)
    spread = _Z * sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n))
    whole = 1 + _Z * _Z / n
    return [max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)]


def per_class(pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and how often a person chose it (`n`), for whatever was chosen or answered."""
    hits = Counter(truth for truth, found in pairs if truth == found)
    truths, founds = Counter(truth for truth, _ in pairs), Counter(found for _, found in pairs)
    return {
        name: {
            "precision": hits[name] / founds[name] if founds[name] else 0.0,
            "recall": hits[name] / truths[name] if truths[name] else 0.0,
            "f1": 2 * hits[name] / (truths[name] + founds[name]),
            "n": truths[name],
        }
        for name in sorted({*truths, *founds})
    }


def confusion(pairs: Iterable[Pair]) -> dict[str, dict[str, int]]:
    """How often each was answered (inner) where a person chose another or the same (outer)."""
    counts = Counter(pairs)
    matrix: dict[str, dict[str, int]] = {truth: {} for truth in sorted({truth for truth, _ in counts})}
    for (truth, found), count in sorted(counts.items()):
        matrix[truth][found] = count
    return matrix


def coverage(scored: Sequence[Scored], budget: float) -> Coverage:
    """The largest share of answers, most confident first, of which no more than `budget` are wrong."""
    # Among equally confident answers the wrong ones come first, so a tie never flatters the share.
    ranked = sorted(scored, key=lambda answer: (-answer[0], answer[1]))
    best = wrong = 0
    for count, (_, is_right) in enumerate(ranked, start=1):
        wrong += not is_right
        if wrong <= budget * count:
            best = count
    return Coverage(best / len(ranked), ranked[best - 1][0] if best else None)


def reliability(scored: Iterable[Scored]) -> list[Bin]:
    """The answers by tenths of confidence, those without any left out."""
    bins: dict[int, list[Scored]] = defaultdict(list)
    for answer in scored:
        bins[_bin_number(answer[0])].append(answer)
    return [
        Bin(len(members), fmean(sure for sure, _ in members), fmean(is_right for _, is_right in members))
        for _, members in sorted(bins.items())
    ]


def _bin_number(sure: float) -> int:
    return min(_BINS - 1, int(sure * _BINS))  # A confidence of exactly 1 belongs to the last bin.


def chance_error(scored: Sequence[Scored]) -> float:
    """The calibration error that confidences as honest as can be would show on average, because answers are so few."""
    variances: dict[int, float] = defaultdict(float)
    for sure, _ in scored:
        variances[_bin_number(sure)] += sure * (1 - sure)
    # The mean distance of a sum of so many coin flips from what is expected of it (de Moivre 1738).
    return sum(sqrt(2 / pi * variance) for variance in variances.values()) / len(scored)


def calibration_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error: how far confidence is from accuracy, on average."""
    return sum(one.count * abs(one.accuracy - one.confidence) for one in bins) / sum(one.count for one in bins)
