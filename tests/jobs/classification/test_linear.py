"""The linear model: what it sees, what it says, and how it is kept."""

import io
import itertools
import subprocess
import sys

import numpy as np
import pytest

from jobs.classification import training
from jobs.classification.engines.base import Example, TicketText
from jobs.classification.engines.linear import Linear, terms, text_of
from tests.conftest import ROOT

WORDS = {"Cats": "purr whiskers litter", "Dogs": "bark leash fetch", "Birds": "feather nest beak"}
LABELS = [("Pets", name) for name in WORDS]


def animals(each: int, first: int = 1) -> list[Example]:
    """So many examples of every animal, each with two of its three words."""
    found: list[Example] = []
    for number in range(each):
        for name, words in WORDS.items():
            one, two = itertools.islice(itertools.cycle(words.split()), number % 3, number % 3 + 2)
            text = TicketText(f"the {one} and the {two}", f"call {number}")
            found.append(Example(first + len(found), text, "Pets", name))
    return found


@pytest.fixture(scope="module")
def linear() -> Linear:
    return training.fit(animals(30), LABELS, temperature=0.3)


def test_it_sees_words_pairs_and_runs_of_letters_in_any_script() -> None:
    assert terms("Ünser VPN 2") == ["ünser", "vpn", "ünser vpn", "# üns", "#ünse", "#nser", "#ser ", "# vpn", "#vpn "]
    assert terms("ネット 接続")[:3] == ["ネット", "接続", "ネット 接続"]
    assert terms("") == []


def test_it_sees_neither_numbers_nor_addresses() -> None:
    assert terms("+49 170 1234567 ada.lovelace@example.com <bob@example.com>") == []


def test_it_says_how_probable_every_label_is(linear: Linear) -> None:
    found = linear.probabilities("a bark, and then it would fetch")
    assert set(found) == set(LABELS)
    assert sum(found.values()) == pytest.approx(1)
    assert max(found, key=lambda label: found[label]) == ("Pets", "Dogs")
    assert found["Pets", "Dogs"] > 0.8


@pytest.mark.parametrize("text", ["", "12345", "zzz qqq"])
def test_where_it_knows_no_word_every_label_is_as_probable(linear: Linear, text: str) -> None:
    assert list(linear.probabilities(text).values()) == pytest.approx([1 / 3] * 3)


def test_it_scores_as_the_library_that_trained_it(linear: Linear) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    taught = animals(30)
    texts, numbers = [text_of(one.text) for one in taught], [LABELS.index(training.label_of(one)) for one in taught]
    weigh = TfidfVectorizer(analyzer=terms, sublinear_tf=True, min_df=2)
    machine = LinearSVC(C=0.5, random_state=0).fit(weigh.fit_transform(texts), numbers)
    for text in ("a bark and a purr", "feather feather feather", "whiskers"):
        expected = machine.decision_function(weigh.transform([text]))[0]
        order = [LABELS.index(label) for label in linear.labels]
        np.testing.assert_allclose(linear.scores(text), expected[order], atol=2e-3)


def test_it_is_kept_as_bytes_that_need_no_unpickling(linear: Linear) -> None:
    kept = linear.to_bytes()
    again = Linear.from_bytes(kept)
    assert again.probabilities("bark") == pytest.approx(linear.probabilities("bark"))
    assert again.to_bytes() == kept
    with np.load(io.BytesIO(kept), allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays.files} <= {"u", "f"}


def test_bytes_of_another_format_are_refused(linear: Linear) -> None:
    with np.load(io.BytesIO(linear.to_bytes())) as arrays:
        parts = {name: arrays[name] for name in arrays.files}
    parts["about"] = np.frombuffer(parts["about"].tobytes().replace(b'"format": 1', b'"format": 7'), dtype=np.uint8)
    target = io.BytesIO()
    np.savez_compressed(target, **parts)
    with pytest.raises(ValueError, match="format 7, this program reads 1"):
        Linear.from_bytes(target.getvalue())


def test_what_has_left_the_catalog_has_no_probability(linear: Linear) -> None:
    fewer = linear.within({("Pets", "Cats"), ("Pets", "Birds"), ("Pets", "Fish")})
    assert fewer is not None
    found = fewer.probabilities("bark leash fetch nest")
    assert set(found) == {("Pets", "Cats"), ("Pets", "Birds")}
    assert sum(found.values()) == pytest.approx(1)
    assert found["Pets", "Birds"] > found["Pets", "Cats"]
    assert linear.within({("Pets", "Fish")}) is None


def test_the_library_that_trains_is_loaded_by_the_training_alone() -> None:
    heavy = ("sklearn", "scipy", "joblib")
    code = f"import sys, jobs.operations.worker; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
