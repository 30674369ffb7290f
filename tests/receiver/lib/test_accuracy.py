"""The arithmetic of quality against slow definitions of the same."""

import random
from math import sqrt
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.lib import accuracy
from receiver.lib.accuracy import Coverage, Pair, Scored

names = st.sampled_from(["VPN", "Wi-Fi", "Printer", "Mouse"])
pairs = st.lists(st.tuples(names, names), min_size=1, max_size=60)
sureness = st.sampled_from([0.0, 0.1, 0.55, 0.9, 0.95, 1.0]) | st.floats(0, 1)
scored = st.lists(st.tuples(sureness, st.booleans()), min_size=1)


@given(n=st.integers(1, 5000), data=st.data())
def test_the_interval_holds_every_share_that_would_not_be_refused(n: int, data: st.DataObject) -> None:
    share = data.draw(st.integers(0, n)) / n
    low, high = accuracy.wilson(share, n)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    for end in (end for end in (low, high) if 1e-9 < end < 1 - 1e-9):  # An edge is 1.96 of its own errors away.
        assert abs(share - end) == pytest.approx(1.96 * sqrt(end * (1 - end) / n), rel=1e-6)


@given(pairs)
def test_precision_and_recall_are_shares_of_what_was_answered_and_of_what_is_true(pairs: list[Pair]) -> None:
    for name, score in accuracy.per_class(pairs).items():
        answered = [truth == found for truth, found in pairs if found == name]
        true = [truth == found for truth, found in pairs if truth == name]
        assert score["precision"] == pytest.approx(sum(answered) / len(answered) if answered else 0)
        assert score["recall"] == pytest.approx(sum(true) / len(true) if true else 0)
        assert score["n"] == len(true)


@given(pairs)
def test_the_confusion_counts_every_pair_once(pairs: list[Pair]) -> None:
    matrix = accuracy.confusion(pairs)
    assert sorted((t, f) for t, row in matrix.items() for f, n in row.items() for _ in range(n)) == sorted(pairs)


@given(scored, st.sampled_from([0.0, 0.02, 0.05, 0.2]))
def test_coverage_is_the_longest_run_of_the_surest_within_the_budget(scored: list[Scored], budget: float) -> None:
    ranked = sorted(scored, key=lambda one: (-one[0], one[1]))
    runs = [n for n in range(1, len(ranked) + 1) if sum(not right for _, right in ranked[:n]) <= budget * n]
    expected = Coverage(max(runs) / len(ranked), ranked[max(runs) - 1][0]) if runs else Coverage(0, None)
    assert accuracy.coverage(scored, budget) == expected


@given(scored)
def test_the_bins_hold_every_answer_and_the_error_is_their_mean_gap(scored: list[Scored]) -> None:
    bins = accuracy.reliability(scored)
    assert sum(one.count for one in bins) == len(scored)
    assert sum(one.count * one.accuracy for one in bins) == pytest.approx(sum(right for _, right in scored))
    gaps = 0.0
    for tenth in range(10):
        members = [one for one in scored if min(9, int(one[0] * 10)) == tenth]
        gaps += abs(sum(right for _, right in members) - sum(sure for sure, _ in members))
    assert accuracy.calibration_error(bins) == pytest.approx(gaps / len(scored))


def test_equal_confidences_do_not_flatter_the_coverage() -> None:
    assert accuracy.coverage([(0.9, True), (0.9, False)], 0.05) == Coverage(0, None)


def test_known_figures() -> None:
    low, high = accuracy.wilson(0.5, 10)
    assert (round(low, 3), round(high, 3)) == (0.237, 0.763)
    assert accuracy.calibration_error(accuracy.reliability([(0.95, True), (0.95, False)])) == pytest.approx(0.45)


def test_the_error_of_chance_is_what_honest_confidences_show() -> None:
    dice = random.Random(1)
    sure = [dice.uniform(0.3, 1) for _ in range(100)]
    shown = [
        accuracy.calibration_error(accuracy.reliability([(one, dice.random() < one) for one in sure]))
        for _ in range(400)
    ]
    assert accuracy.chance_error([(one, True) for one in sure]) == pytest.approx(fmean(shown), rel=0.1)
    assert accuracy.chance_error([(1.0, True), (0.0, False)]) == 0
