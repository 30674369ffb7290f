"""The local engine: an answer for every text, always an entry of the catalog, and no network."""

import string
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.engines import Proposal, TicketText, local
from jobs.engines.local import LocalEngine
from receiver import catalog as catalogs
from receiver.catalog import Catalog
from tests.conftest import ROOT

BARE = catalogs.parse("""
categories:
  - {name: Network, requests: [{name: VPN}, {name: Wi-Fi}]}
  - {name: Hardware, requests: [{name: Printer}, {name: Wi-Fi}]}
""")


@pytest.fixture(scope="module")
def engine(shipped: Catalog) -> LocalEngine:
    return local.for_catalog(shipped)


@pytest.fixture(scope="module")
def bare() -> LocalEngine:
    return LocalEngine(BARE)


def is_sound(proposal: Proposal, catalog: Catalog) -> bool:
    labels = (proposal.label, *proposal.alternatives)
    known = set(labels) <= set(catalog.labels) and len(set(labels)) == len(labels)
    return known and 0 <= proposal.confidence <= 1 and bool(proposal.reasoning.encode())


ODD = {
    "nothing": ("", ""),
    "blanks": ("   ", "\n\t"),
    "one word": ("vpn", ""),
    "only a body": ("", "The VPN does not connect"),
    "a dash": ("—", ""),
    "NUL": ("\0\0", "a\0b"),
    "emoji": ("🔥" * 40, "👩‍👩‍👧‍👦"),
    "right to left": ("\u202eשלום עולם", "الطابعة لا تعمل"),
    "no spaces": ("漢字" * 100, ""),
    "combining marks": ("e" + "\u0301" * 200, ""),
    "100,000 characters": ("printer " * 12_500, "y" * 100_000),
    "regex": (".*(?P<x>[a-z]+)+$" * 20, "\\"),
}


@pytest.mark.parametrize(("short", "long"), ODD.values(), ids=ODD.keys())
def test_every_text_gets_an_entry_of_the_catalog(
    engine: LocalEngine, bare: LocalEngine, shipped: Catalog, short: str, long: str
) -> None:
    assert is_sound(engine.propose(TicketText(short, long)), shipped)
    assert is_sound(bare.propose(TicketText(short, long)), BARE)


@settings(deadline=None, max_examples=20)
@given(short=st.text(st.characters(codec="utf-8"), max_size=80), long=st.text(st.characters(codec="utf-8")))
def test_whatever_is_written_the_answer_is_sound(bare: LocalEngine, short: str, long: str) -> None:
    assert is_sound(bare.propose(TicketText(short, long)), BARE)


def test_the_same_text_gets_the_same_answer(bare: LocalEngine) -> None:
    ticket = TicketText("Drucker", "Der Drucker im zweiten Stock druckt nicht")
    assert len({bare.propose(ticket) for _ in range(3)} | {LocalEngine(BARE).propose(ticket)}) == 1


@pytest.mark.parametrize(
    ("short", "long", "label"),
    [
        ("VPN keeps disconnecting", "The VPN client drops the connection every ten minutes.", "VPN Connection Issue"),
        ("Forgot my password", "I forgot my Windows password, please reset it.", "Reset forgotten password"),
        ("Strange mail", "Mail from our 'bank' asks me to click a link. Phishing?", "Report Phishing/Suspicious Email"),
    ],
)
def test_an_easy_ticket_is_attributed_right(engine: LocalEngine, short: str, long: str, label: str) -> None:
    assert engine.propose(TicketText(short, long)).label == label


def test_names_alone_are_enough_to_attribute_by(bare: LocalEngine) -> None:
    assert bare.propose(TicketText("My printer is out of toner", "the printer prints nothing")).label == "Printer"
    assert bare.propose(TicketText("vpn", "the vpn does not connect")).label == "VPN"


def test_what_resembles_nothing_is_not_claimed_with_confidence(engine: LocalEngine) -> None:
    assert engine.propose(TicketText("qwxz", "zzz qqq 17 ;;; vvv")).confidence < 0.5


@pytest.mark.parametrize("name", ["?", "a" * 200, "(*"])
def test_a_catalog_of_odd_names_and_hints_is_usable(name: str) -> None:
    odd = catalogs.parse(
        f"categories: [{{name: '{name}', requests: [{{name: '{name}', keywords: ['{name}', '']}}, {{name: VPN}}]}}]"
    )
    assert is_sound(LocalEngine(odd).propose(TicketText(f"{name} vpn", string.printable)), odd)


def test_a_catalog_of_one_entry_is_usable() -> None:
    one = catalogs.parse("categories: [{name: A, requests: [{name: Other misc}]}]")
    proposal = LocalEngine(one).propose(TicketText("anything", ""))
    assert (proposal.label, proposal.alternatives) == ("Other misc", ())


def test_an_equal_catalog_does_not_build_a_second_engine(shipped: Catalog, engine: LocalEngine) -> None:
    assert local.for_catalog(catalogs.parse(shipped.text)) is engine


OFFLINE = """
import sys

def refuse(event, _arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        raise AssertionError(event)

sys.addaudithook(refuse)
from jobs.engines import TicketText, choose
from receiver import catalog, settings

tiny = catalog.parse("categories: [{name: A, requests: [{name: VPN}, {name: Printer}]}]")
engine = choose(settings.load({"DATA_DIR": "data"}), tiny)
print(engine.name, engine.propose(TicketText("vpn", "")).label, "openai" in sys.modules)
"""


def test_the_local_engine_touches_no_network_and_loads_no_model_client() -> None:
    command = [sys.executable, "-c", OFFLINE]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == (["local", "VPN", "False"], 0), done.stderr
