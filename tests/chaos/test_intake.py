"""Short versions of what arrives twice, broken, forged, too large or too slowly."""

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import forged, intake, malformed, timing
from chaos.forged import is_accepted
from chaos.ledger import ticket
from chaos.slow import Crowd, percentile
from chaos.world import World, running
from tests.conftest import ROOT

SEED = 20261122


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("web"), only=("web", "redis")) as world:
        yield world


@pytest.mark.full
def test_a_refused_client_that_does_not_hang_up_keeps_nobody_waiting(web: World) -> None:
    clients = [socket.create_connection(("127.0.0.1", web.config.port)) for _ in range(20)]
    try:
        for client in clients:
            client.sendall(b"no request\r\n\r\n")
        started = time.monotonic()
        assert intake.deliver(web, [ticket("L-1")], "msg_linger").status == 200
        assert time.monotonic() - started < 10
    finally:
        for client in clients:
            client.close()


@pytest.mark.full
def test_a_crowd_of_slow_clients_keeps_nobody_waiting(web: World) -> None:
    crowd = Crowd(web.config.port)
    try:
        crowd.connect(150, random.Random(SEED), spread=0.5)
        replies = [intake.deliver(web, [ticket(f"C-{number}")], f"msg_c_{number}") for number in range(20)]
    finally:
        crowd.close()
    assert {reply.status for reply in replies} == {200}
    assert percentile([reply.seconds for reply in replies], 0.5) < 5


@pytest.mark.full
def test_what_is_too_large_or_packed_is_refused(web: World) -> None:
    refusals = {name: attack(web, name).status for name, attack in intake._ATTACKS.items()}
    assert refusals == intake._REFUSALS


@pytest.mark.full
def test_malformed_bodies_are_refused_one_by_one(web: World) -> None:
    rng, before = random.Random(SEED), intake.count(web, "tickets")
    for number in range(60):
        body = malformed.body(rng)
        reply = intake.send(web, body, intake.sign(web, body, f"msg_bad_{number}"))
        assert reply.status == 422, body[:200]
    assert intake.count(web, "tickets") == before


@pytest.mark.full
def test_a_batch_with_bad_tickets_is_taken_in_part_and_comes_out_the_same_again(web: World) -> None:
    batch = [ticket(f"P-{number}") for number in range(500)]
    bad = [3, 71, 200, 201, 330, 498, 499]
    for index in bad:
        batch[index] |= {"short_description": ""}
    assert intake._sent_thrice(web, batch, bad, "msg_partly") == []


@pytest.mark.full
def test_duplicates_from_many_senders_become_one_ticket_each(tmp_path: Path) -> None:
    assert intake.t4_duplicates(tmp_path, random.Random(SEED), distinct=25).faults == []


@pytest.mark.full
def test_no_forged_signature_is_accepted_and_no_genuine_one_refused() -> None:
    rng = random.Random(SEED)
    secret = forged.new_secret(rng)
    source = forged.forgeries(rng, secret)
    assert [message for message in (next(source) for _ in range(3_000)) if is_accepted((secret,), message)] == []
    assert all(is_accepted((secret,), forged.genuine(rng, secret)) for _ in range(1_000))
    assert intake._rotation(rng, 200) == 0


def test_every_secret_is_compared_in_constant_time() -> None:
    assert [place for name in ("receiver", "jobs") for place in timing.unsafe_comparisons(ROOT / name)] == []
    for owner in (
        *(f"receiver/intake/signatures/{name}.py" for name in ("standard", "hmacs", "static", "glpi")),
        "receiver/web/auth.py",
    ):
        assert "hmac.compare_digest(" in (ROOT / owner).read_text()


def test_the_search_for_unsafe_comparisons_finds_one(tmp_path: Path) -> None:
    source = 'def f(offered, api_token):\n    return offered == api_token or offered != b""\n'
    (tmp_path / "unsafe.py").write_text(source)
    assert len(timing.unsafe_comparisons(tmp_path)) == 1
