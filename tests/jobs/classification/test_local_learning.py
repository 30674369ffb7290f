"""What the local engine learns from reviewed tickets, at once, and what it must not."""

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from jobs.classification import evaluate
from jobs.classification.engines.base import Example, TicketText
from jobs.classification.engines.linear import Linear
from jobs.classification.engines.local import LocalEngine, for_catalog
from jobs.classification.evaluate.metrics import Labelled
from receiver import catalog as catalogs
from receiver.catalog import Catalog
from tests.conftest import ROOT

TINY = catalogs.parse("""
categories:
  - {name: Network, requests: [{name: VPN}, {name: Wi-Fi}]}
  - {name: Hardware, requests: [{name: Printer}, {name: Mouse}]}
""")
FORKLIFT = TicketText("Forklift terminal", "the terminal on forklift 7 shows a white page since the update")
OPENINGS = ("Hi team,", "Good morning,", "Dear colleagues,", "")
CLOSINGS = ("Thanks, Sam", "Kind regards\nAlex Moore", "cheers", "")


@pytest.fixture
def engine() -> LocalEngine:
    return LocalEngine(TINY)


@pytest.fixture
def full(shipped: Catalog) -> Iterator[LocalEngine]:
    engine = for_catalog(shipped)
    yield engine
    engine.learn([])


@pytest.fixture(scope="module")
def tickets(shipped: Catalog) -> list[Labelled]:
    return evaluate.load(ROOT / "tests" / "gold" / "tickets.jsonl", shipped)


def example(number: int, text: TicketText = FORKLIFT, category: str = "Hardware", name: str = "Mouse") -> Example:
    return Example(number, text, category, name)


def as_examples(tickets: Sequence[Labelled]) -> list[Example]:
    return [Example(ticket.number, ticket.text, *ticket.label) for ticket in tickets]


def test_a_repeat_gets_the_label_a_person_chose(engine: LocalEngine) -> None:
    assert engine.propose(FORKLIFT).label != "Mouse"
    engine.learn([example(1)])
    proposal = engine.propose(FORKLIFT)
    assert (proposal.label, proposal.confidence) == ("Mouse", 0.99)
    assert "forklift" not in proposal.reasoning


def test_a_later_review_replaces_the_earlier(engine: LocalEngine) -> None:
    engine.learn([example(1)])
    engine.learn([example(2, name="Printer")])
    assert engine.propose(FORKLIFT).label == "Printer"


def test_what_is_no_longer_an_example_is_forgotten(engine: LocalEngine) -> None:
    before = engine.propose(FORKLIFT)
    engine.learn([example(1)])
    engine.learn([])
    assert engine.propose(FORKLIFT) == before
    assert engine.nearest(FORKLIFT, 3) == []


def test_an_example_of_an_entry_that_is_gone_teaches_nothing(engine: LocalEngine) -> None:
    engine.learn([example(1, name="Typewriter")])
    assert engine.nearest(FORKLIFT, 3) == []


def test_the_nearest_examples_come_first(engine: LocalEngine) -> None:
    lines = ["the office printer is jammed", "I forgot to book my holiday", "paper jam in the printer"]
    engine.learn([example(number, TicketText(line, line)) for number, line in enumerate(lines)])
    found = engine.nearest(TicketText("printer", "the printer has a paper jam"), 2)
    assert {one.id for one in found} == {0, 2}


def noisy(text: str, dice: random.Random) -> str:
    """One word in ten dropped, one in eight misspelt, other numbers."""
    words = []
    for word in text.split():
        if dice.random() < 0.1:
            continue
        if any(letter.isdigit() for letter in word):
            words.append("".join(str(dice.randrange(10)) if letter.isdigit() else letter for letter in word))
        else:
            words.append(misspelt(word, dice) if len(word) > 2 and dice.random() < 0.12 else word)
    return " ".join(words)


def misspelt(word: str, dice: random.Random) -> str:
    at = dice.randrange(len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return dice.choice([swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]])


def again(text: TicketText, dice: random.Random) -> TicketText:
    body = f"{dice.choice(OPENINGS)} {noisy(text.long_description, dice)} {dice.choice(CLOSINGS)}"
    return TicketText(noisy(text.short_description, dice), body)


@pytest.mark.full
def test_noisy_repeats_get_the_corrected_label(full: LocalEngine, shipped: Catalog, tickets: list[Labelled]) -> None:
    dice = random.Random(1)
    full.learn(as_examples(tickets))
    repeats = [replace(ticket, text=again(ticket.text, dice)) for ticket in tickets]
    outcomes = evaluate.run(full, shipped, repeats)
    assert sum(outcome.is_right for outcome in outcomes) >= 0.95 * len(outcomes)


def test_tickets_that_tell_of_something_else_are_no_repeats(
    full: LocalEngine, shipped: Catalog, tickets: list[Labelled]
) -> None:
    full.learn(as_examples(tickets[::2]))
    outcomes = evaluate.run(full, shipped, tickets[1::2])
    assert [outcome.proposal.reasoning for outcome in outcomes if "repeats" in outcome.proposal.reasoning] == []


@pytest.mark.full
def test_new_wording_never_loses_more_than_a_point(
    full: LocalEngine, shipped: Catalog, tickets: list[Labelled]
) -> None:
    before = {outcome.ticket.number: outcome.is_right for outcome in evaluate.run(full, shipped, tickets)}
    after = evaluate.run_learning(full, shipped, tickets, 3, rounds=3)
    gained = sum(outcome.is_right - before[outcome.ticket.number] for outcome in after)
    assert gained >= -0.01 * len(after)


def test_examples_that_are_known_are_not_encoded_again(engine: LocalEngine) -> None:
    many = [example(number, TicketText(f"case {number}", "")) for number in range(200)]
    engine.learn(many)
    encoded = engine._memory.vectors
    engine.learn(list(many))
    assert engine._memory.vectors is encoded
    engine.learn([*many[1:], example(999)])
    assert np.array_equal(engine._memory.vectors[:-1], encoded[1:])


def words(shares: dict[tuple[str, str], float]) -> Linear:
    """A linear model that knows one word, and what that word says."""
    weights = np.log(np.array([list(shares.values())]))
    return Linear(list(shares), {"vpn": 0}, np.ones(1), weights, np.zeros(len(shares)), temperature=1.0)


VPN = TicketText("vpn", "the vpn client does not connect at all")


def test_a_linear_model_decides_until_it_is_put_off(engine: LocalEngine) -> None:
    engine.adopt(words({("Hardware", "Mouse"): 0.8, ("Network", "VPN"): 0.1, ("Gone", "Gone"): 0.1}))
    proposal = engine.propose(TicketText("vpn", "does not connect"))
    assert proposal.label == "Mouse"
    assert proposal.confidence == pytest.approx(0.8, abs=0.01)
    engine.adopt(None)
    assert engine.propose(VPN).label == "VPN"


def test_a_reviewed_repeat_wins_over_the_linear_model(engine: LocalEngine) -> None:
    engine.adopt(words({("Hardware", "Mouse"): 1.0}))
    engine.learn([example(1, VPN, "Network", "Wi-Fi")])
    assert engine.propose(VPN).label == "Wi-Fi"


def test_what_the_model_was_trained_with_wins_only_where_it_is_nearly_the_same(engine: LocalEngine) -> None:
    engine.learn([example(7, VPN, "Network", "Wi-Fi")])
    alike = TicketText("vpn", "Anna says that her vpn client stopped on Monday, and the icon is grey")
    for trained_to, label in ((6, "Wi-Fi"), (7, "Mouse")):
        engine.adopt(words({("Hardware", "Mouse"): 0.8, ("Network", "VPN"): 0.2}), trained_to)
        assert engine.propose(alike).label == label
        assert engine.propose(VPN).label == "Wi-Fi"


def test_a_linear_model_leaves_entries_to_the_engine_that_it_has_never_seen(engine: LocalEngine) -> None:
    engine.adopt(words({("Hardware", "Mouse"): 0.9, ("Gone", "Gone"): 0.1}))
    assert engine.propose(VPN).label == "VPN"


@pytest.mark.full
def test_learning_while_other_threads_propose_gives_nobody_half_a_memory(engine: LocalEngine) -> None:
    stop, labels = threading.Event(), set()

    def ask() -> None:
        while not stop.is_set():
            labels.add(engine.propose(FORKLIFT).label)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for count in range(1, 30):
        engine.learn([example(number, FORKLIFT) for number in range(count)])
    stop.set()
    for thread in threads:
        thread.join()
    assert "Mouse" in labels
    assert engine.propose(FORKLIFT).label == "Mouse"


def in_a_fork(act: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0 if act() else 1)
    return os.waitpid(child, 0)[1] == 0


def test_an_engine_that_was_built_before_a_fork_works_after_it(engine: LocalEngine) -> None:
    engine.learn([example(1)])

    def works() -> bool:
        engine.learn([example(1), example(2, TicketText("new", "the warehouse radio is silent"), name="Printer")])
        return engine.propose(FORKLIFT).label == "Mouse" and engine.propose(VPN).label == "VPN"

    assert in_a_fork(works)
