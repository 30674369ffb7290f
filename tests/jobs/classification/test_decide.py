"""What of an engine's answer can be stood by."""

import dataclasses
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.classification.decide import decide
from jobs.classification.engines.base import Proposal
from receiver import catalog as catalogs
from receiver.catalog import Catalog, RequestType
from receiver.db.review_reasons import ReviewReason
from tests.properties import tries

CATALOG = catalogs.parse("""
fallback: Uncategorized
categories:
  - name: Access
    requests: [{name: Reset forgotten password}, {name: Account Unlock}, {name: Multi-Factor (MFA) Reset}]
  - name: IT
    requests: [{name: Order a new chair for my desk}]
  - name: Facilities and Buildings
    requests: [{name: Order a new chair for my desk}]
  - name: Support
    requests: [{name: Level 1 support request}, {name: Level 2 support request}, {name: Uncategorized}]
""")


def proposed(label: str, confidence: float = 0.9) -> Proposal:
    return Proposal(label, confidence, "because", "llm", "m")


def test_every_label_of_the_shipped_catalog_is_decided_as_its_own_entry(shipped: Catalog) -> None:
    assert len(shipped.labels) == len(shipped.request_types)
    for label, kind in shipped.labels.items():
        decision = decide(proposed(label), shipped, 0.6)
        assert (decision.request_type, decision.fuzzy_matched, decision.fallback) == (kind, False, False)


@pytest.mark.parametrize(
    "label",
    [
        "reset forgotten password",
        "RESET FORGOTTEN PASSWORD",
        "  Reset forgotten password.\n",
        "**Reset forgotten password**",
        '"Reset-forgotten-password"',
        "Reset forgoten password",
        "Reset forgotten pasword",
        "Reset forgotten passwords",
        "Reset\u00a0forgotten\u00a0password",
    ],
)
def test_case_punctuation_and_near_spelling_are_mended_and_marked(label: str) -> None:
    decision = decide(proposed(label), CATALOG, 0.6)
    assert decision.request_type.name == "Reset forgotten password"
    assert decision.fuzzy_matched
    assert not decision.fallback
    assert (decision.confidence, decision.review_reason) == (0.9, None)


def test_an_exact_label_is_not_called_mended() -> None:
    decision = decide(proposed("Account Unlock"), CATALOG, 0.6)
    assert (decision.request_type.name, decision.fuzzy_matched, decision.review_reason) == (
        "Account Unlock",
        False,
        None,
    )


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Access / Account Unlock", "Account Unlock"),
        ("access: account unlock", "Account Unlock"),
        ("Account Unlock (Access)", "Account Unlock"),
        ("MFA Reset", "Multi-Factor (MFA) Reset"),
        ("Reset password", "Reset forgotten password"),
        ("IT", "Order a new chair for my desk"),
    ],
)
def test_a_category_beside_it_and_a_clear_part_are_mended_and_marked(label: str, name: str) -> None:
    decision = decide(proposed(label), CATALOG, 0.6)
    assert (decision.request_type.name, decision.fuzzy_matched, decision.fallback) == (name, True, False)


@pytest.mark.parametrize(
    ("confidence", "second", "agreement", "reviewed"),
    [
        (0.7, "Account Unlock", True, False),
        (0.7, "Reset forgotten password", False, True),
        (0.8, "Reset forgotten password", False, False),
        (0.7, None, None, False),
        (0.7, "an entry that has gone", None, False),
    ],
)
def test_a_contradicted_and_unsure_answer_is_reviewed(
    confidence: float, second: str | None, agreement: bool | None, reviewed: bool
) -> None:
    answer = dataclasses.replace(proposed("Account Unlock", confidence), second_opinion=second)
    decision = decide(answer, CATALOG, 0.6)
    assert (decision.agreement, decision.review_reason is not None) == (agreement, reviewed)


def test_a_text_that_steers_is_reviewed_however_sure_the_answer_is() -> None:
    steered = dataclasses.replace(proposed("Account Unlock", 1.0), steers=True, second_opinion="Account Unlock")
    assert decide(steered, CATALOG, 0.0).review_reason


@pytest.mark.parametrize(
    "label",
    [
        "",
        " ",
        "...",
        "🔥",
        "\0",
        "password",
        "reset",
        "Access",
        "Order a pizza for the whole floor",
        "Level 3 support request",
        "Reset forgotten password or Account Unlock",
        "Reset forgotten password" * 500,
        "None",
        "{'name': 'Account Unlock'}",
    ],
)
def test_what_means_no_single_entry_becomes_the_fallback_and_goes_to_review(label: str) -> None:
    decision = decide(proposed(label, confidence=1.0), CATALOG, 0.0)
    assert decision.request_type == CATALOG.fallback
    assert decision.fallback
    assert decision.confidence == 0.0
    assert (decision.review_reason, decision.review_detail) == (ReviewReason.OUT_OF_CATALOG, None)


def test_a_name_of_two_categories_is_decided_by_its_category() -> None:
    for category in ("IT", "Facilities and Buildings"):
        decision = decide(proposed(f"{category}: Order a new chair for my desk"), CATALOG, 0.6)
        assert (decision.request_type.category, decision.fuzzy_matched) == (category, False)
    fuzzy_matched = decide(proposed("facilities and buildings - order a new chair for my desk"), CATALOG, 0.6)
    assert (fuzzy_matched.request_type.category, fuzzy_matched.fuzzy_matched) == ("Facilities and Buildings", True)


@pytest.mark.parametrize("label", ["Order a new chair for my desk", "order a new chair, for my desk"])
def test_a_name_of_two_categories_alone_is_ambiguous(label: str) -> None:
    decision = decide(proposed(label), CATALOG, 0.6)
    assert (decision.request_type, decision.fallback) == (CATALOG.fallback, True)


def test_names_that_differ_only_in_case_are_each_found_exactly_and_never_mended_to_one_of_them() -> None:
    twins = catalogs.parse("categories: [{name: A, requests: [{name: VPN}, {name: vpn}, {name: Other misc}]}]")
    assert [decide(proposed(name), twins, 0.6).request_type.name for name in ("VPN", "vpn")] == ["VPN", "vpn"]
    assert decide(proposed("Vpn"), twins, 0.6).fallback


@pytest.mark.parametrize(("confidence", "reviewed"), [(0.6, False), (0.5999, True), (1.0, False), (0.0, True)])
def test_a_confidence_below_the_threshold_goes_to_review(confidence: float, reviewed: bool) -> None:
    decision = decide(proposed("Account Unlock", confidence), CATALOG, 0.6)
    assert (decision.review_reason is not None) == reviewed
    assert (decision.request_type.name, decision.confidence, decision.fallback) == ("Account Unlock", confidence, False)


def test_a_doubtful_mend_is_both_mended_and_reviewed() -> None:
    decision = decide(proposed("account unlock!", 0.1), CATALOG, 0.6)
    assert (decision.fuzzy_matched, decision.fallback) == (True, False)
    assert decision.review_reason


def test_whatever_stood_in_is_a_fallback_and_reviewed_however_sure_it_is() -> None:
    decision = decide(proposed("Account Unlock", 1.0), CATALOG, 0.0, stand_in_for="the endpoint is down")
    assert (decision.request_type.name, decision.fallback, decision.confidence) == ("Account Unlock", True, 1.0)
    assert (decision.review_reason, decision.review_detail) == (
        ReviewReason.FALLBACK_ENGINE,
        {"error": "the endpoint is down"},
    )


_names = st.text(string.ascii_letters + " :-.é漢🔥", min_size=1, max_size=30)
_near = st.builds(
    lambda label, cut, extra: label[:cut] + extra + label[cut:],
    st.sampled_from(sorted(CATALOG.labels)),
    st.integers(0, 40),
    st.text(max_size=3),
)


@settings(deadline=None, max_examples=tries(100))
@given(label=st.text() | _near, confidence=st.floats(0, 1), threshold=st.floats(0, 1))
def test_whatever_an_engine_answers_the_decision_is_an_entry(label: str, confidence: float, threshold: float) -> None:
    decision = decide(proposed(label, confidence), CATALOG, threshold)
    assert decision.request_type in CATALOG.request_types
    assert 0 <= decision.confidence <= 1
    assert decision.review_reason or (decision.confidence >= threshold and not decision.fallback)
    assert (label in CATALOG.labels) == (
        not decision.fuzzy_matched and decision.review_reason != ReviewReason.OUT_OF_CATALOG
    )


@settings(deadline=None, max_examples=tries(100))
@given(names=st.lists(st.tuples(_names, _names), min_size=1, max_size=6, unique=True), label=_names)
def test_the_decision_is_an_entry_of_whatever_catalog_is_in_force(names: list[tuple[str, str]], label: str) -> None:
    kinds = tuple(RequestType(category, name) for category, name in names)
    catalog = Catalog("", kinds, kinds[0])
    decision = decide(proposed(label), catalog, 0.5)
    assert decision.request_type in kinds
    assert catalog.labels.get(label, decision.request_type) == decision.request_type
