"""Genuine senders with hostile bodies: a clear answer, never an error of ours, never a ticket out of a refused body."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from receiver.db.database import Database
from receiver.db.models import Delivery, Ticket
from receiver.lib import secret_files
from receiver.lib.settings import Settings
from tests.factories import signed
from tests.properties import tries

MARK = "Xyzzy Plugh"
TICKET = {"id": "H-1", "short_description": MARK, "long_description": MARK}
TEXT = json.dumps(TICKET)[1:-1]


@dataclass
class Sender:
    """Signs whatever it is given, and looks at what came of it."""

    client: FlaskClient
    db: Database
    secret: str

    def send(self, body: Any) -> tuple[int, Any]:
        answer = self.client.post("/webhooks/standard", **signed(self.secret, body))
        assert answer.status_code < 500, answer.text
        assert MARK not in answer.text
        return answer.status_code, answer.json

    def tickets(self) -> list[Ticket]:
        with self.db.read() as session:
            return session.query(Ticket).order_by(Ticket.id).all()

    def count(self) -> int:
        with self.db.read() as session:
            return session.query(Ticket).count()

    def quarantined(self, delivery_id: int) -> bytes | None:
        with self.db.read() as session:
            delivery = session.get_one(Delivery, delivery_id)
        assert delivery.status == "quarantined"
        return delivery.body

    def refused(self, body: Any) -> Any:
        """What was said about a body from which nothing became a ticket."""
        status, answer = self.send(body)
        assert status == 422, answer
        assert set(answer) == {"delivery", "errors"}
        assert answer["errors"]
        assert self.count() == 0
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        assert self.quarantined(answer["delivery"]) == raw
        return answer["errors"]

    def taken(self, body: Any) -> Ticket:
        """The one ticket that a body became."""
        status, answer = self.send(body)
        assert (status, answer.get("accepted")) == (200, 1), answer
        return self.tickets()[-1]


@pytest.fixture
def sender(client: FlaskClient, db: Database, config: Settings) -> Sender:
    return Sender(client, db, secret_files.webhook_secrets(config)[0])


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"\n\t\r ", b"null", b"true", b"0", b"-0.0", b'"Xyzzy Plugh"', b"[]", b"{}", b"[[]]", b"[null]",
        b"[[[{}]]]", b'{"tickets": []}', b'{"data": {}}', b'{"data": null}', b'{"requests": [[]]}',
        b'{"tickets": {"tickets": []}}', b'{"data": {"requests": [{"id": 1}]}}', b"id=1&short_description=Xyzzy Plugh",
        b"<ticket>Xyzzy Plugh</ticket>",
    ],
)  # fmt: skip
def test_a_body_without_tickets_is_quarantined(sender: Sender, body: bytes) -> None:
    sender.refused(body)


@pytest.mark.parametrize(
    "body",
    [
        "{%s", "{%s}}", "{%s},", "{%s}{%s}", "{%s} x", "[{%s},]", "[{%s} {%s}]", "{%s,}", "{%s, // note\n}",
        "{%s, 'url': ''}", "{%s, url: ''}", '{%s, "url": "a\nb"}', '{%s, "url": "\x00"}', '{%s, "url": "\\x41"}',
        '{%s, "url": "\\u12"}', '{%s, "n": 01}', '{%s, "n": +1}', '{%s, "n": 1.}', '{%s, "n": 0x1}', '{%s, "n": True}',
        "\x00{%s}", "\ufeff\ufeff{%s}", "{%s}\x00",
    ],
)  # fmt: skip
def test_broken_json_is_told_by_its_place(sender: Sender, body: str) -> None:
    errors = sender.refused(body.replace("%s", TEXT).encode())
    assert "not JSON" in errors
    assert "line" in errors


@pytest.mark.parametrize(
    "body",
    [
        *(f"{{{TEXT}}}".encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")),
        b"\xff" + TEXT.encode(),
        b'{"id": 1, "short_description": "Xyzzy Plugh \xe9"}',
        b'{"id": 1, "short_description": "Xyzzy Plugh \xc3"}',
        b'{"id": 1, "short_description": "Xyzzy Plugh \xc0\xaf"}',
        b'{"id": 1, "short_description": "Xyzzy Plugh \xed\xa0\x80"}',
        b'{"id": 1, "short_description": "Xyzzy Plugh \xf5\x80\x80\x80"}',
        b"\x1f\x8b\x08\x00" + TEXT.encode(),
    ],
)
def test_what_is_not_utf8_is_quarantined_as_it_came(sender: Sender, body: bytes) -> None:
    sender.refused(body)


def test_a_byte_order_mark_is_no_fault(sender: Sender) -> None:
    assert sender.taken(f"{{{TEXT}}}".encode("utf-8-sig")).external_id == "H-1"


@pytest.mark.parametrize(
    ("before", "opening", "closing", "after"),
    [
        ("", "[", "]", ""),
        ("", '{"data":', "}", ""),
        ("", '[{"a":', "}]", ""),
        (f'{{{TEXT}, "deep": ', "[", "]", "}"),
        ('{"id": 1, "short_description": ', '{"a":', "}", "}"),
        ('{"tickets": ', "[", "]", "}"),
    ],
)
def test_no_depth_brings_the_receiver_down(sender: Sender, before: str, opening: str, closing: str, after: str) -> None:
    for depth in (1_000, 100_000):
        assert "deep" in sender.refused(f"{before}{opening * depth}1{closing * depth}{after}".encode())
        sender.refused(f"{before}{opening * depth}".encode())


def test_a_moderate_depth_in_an_unknown_field_is_ignored(sender: Sender) -> None:
    assert sender.taken(f'{{{TEXT}, "deep": {"[" * 100}{"]" * 100}}}'.encode()).external_id == "H-1"


@pytest.mark.parametrize(
    "where", ['{%%s, "n": %s}', '{"id": %s, "short_description": "x"}', "%s", '{%%s, "n": [[%s]]}']
)
def test_numbers_that_json_or_python_cannot_hold_are_refused(sender: Sender, where: str) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "9" * 41, "9" * 5_000, "-" + "9" * 5_000, "9" * 1_000_000):
        assert len(sender.refused((where % number).replace("%s", TEXT).encode())) < 200


@pytest.mark.parametrize("number", ["1e999999", "-1e400", "1.0", "0." + "1" * 5_000, "1E400", "-0", "1" + "0" * 39])
def test_other_numbers_do_no_harm_where_they_are_ignored(sender: Sender, number: str) -> None:
    assert sender.taken(f'{{{TEXT}, "n": {number}}}'.encode()).external_id == "H-1"
    sender.send(f'{{"id": {number}, "short_description": "{MARK}", "priority": {number}}}'.encode())
    assert {ticket.external_id for ticket in sender.tickets()} <= {"H-1", number.replace("-0", "0")}


@pytest.mark.parametrize("field", ["id", "short_description", "long_description", "requester_email", "priority", "url"])
def test_what_is_not_text_is_not_taken_for_text(sender: Sender, field: str) -> None:
    for letter in ("\\u0000", "\\ud800", "\\udfff", "\\udc00\\ud800", "a\\ud83d"):
        assert set(sender.refused(_with(field, f'"{letter}"'))[0]["errors"]) == {field}


def _with(field: str, written: str) -> bytes:
    fields = {name: json.dumps(value) for name, value in TICKET.items()} | {field: written}
    written = ", ".join(f'"{name}": {value}' for name, value in fields.items())
    return f"{{{written}}}".encode()


def test_letters_beyond_the_first_plane_are_text_however_they_are_written(sender: Sender) -> None:
    assert (
        sender.taken(_with("short_description", '"\\ud83d\\ude00 \\u202e\\ufffe"')).short_description
        == "😀 \u202e\ufffe"
    )


@pytest.mark.parametrize("key", ['"\\ud800"', '"\\u0000"', '""', '"__proto__"', '"' + "k" * 100_000 + '"', '"ID"'])
def test_odd_names_of_unknown_fields_are_ignored(sender: Sender, key: str) -> None:
    assert sender.taken(f"{{{TEXT}, {key}: 1}}".encode()).external_id == "H-1"


@pytest.mark.parametrize(
    "body",
    [
        '{%s, "id": "H-2"}', '{"id": "H-1", %s}', '{%s, "x": 1, "x": 1}', '{%s, "x": {"y": [{"z": 1, "z": 2}]}}',
        '[{%s}, {%s, "short_description": ""}]', '{"tickets": [{%s}], "tickets": []}', '{%s, "\\u0069d": 7}',
    ],
)  # fmt: skip
def test_the_same_key_twice_is_refused_because_readers_differ_about_it(sender: Sender, body: str) -> None:
    assert "twice" in sender.refused(body.replace("%s", TEXT).encode())


VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**39, "", " ", "\n", "x", "null", "x" * 3_000, [], [1], ["x"], [[]], {}, {"a": 1},
]  # fmt: skip
FIELDS = [
    "id",
    "short_description",
    "long_description",
    "requester_email",
    "priority",
    "url",
    "created_at",
    "updated_at",
]
GOOD: dict[str, Callable[[Any], bool]] = {
    "id": lambda v: (isinstance(v, str) and 1 <= len(v.strip()) <= 255) or type(v) is int,
    "short_description": lambda v: isinstance(v, str) and v != "",
    "long_description": lambda v: v is None or isinstance(v, str),
    "requester_email": lambda v: v is None or v == "",
    "priority": lambda v: v is None or type(v) is int or (isinstance(v, str) and len(v.strip()) <= 100),
    "url": lambda v: v is None or v == "",
    "created_at": lambda v: v is None or v == "",
    "updated_at": lambda v: v is None or v == "",
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_wrong_type_rejects_its_own_ticket_and_no_other(sender: Sender, field: str) -> None:
    batch = [TICKET | {"id": f"H-{index}"} | {field: value} for index, value in enumerate(VALUES)]
    status, answer = sender.send([*batch, TICKET | {"id": "H-good"}])
    bad = [index for index, value in enumerate(VALUES) if not GOOD[field](value)]
    assert status == 200
    assert [fault["index"] for fault in answer["rejected"]] == bad
    assert {name for fault in answer["rejected"] for name in fault["errors"]} == {field}
    assert sender.count() == len(VALUES) + 1 - len(bad)
    assert "H-good" in {ticket.external_id for ticket in sender.tickets()}


@pytest.mark.parametrize("field", ["created_at", "updated_at"])
def test_a_time_that_cannot_be_kept_rejects_only_its_ticket(sender: Sender, field: str) -> None:
    moments = [
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "yesterday",
        "2026-02-30T00:00:00Z", "1767225600", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+99:99", "Z" * 100_000,
        "10000-01-01T00:00:00Z",
    ]  # fmt: skip
    good = {"id": "H-good", field: "2026-01-01T00:00:00Z"}
    status, answer = sender.send([TICKET | more for more in (*({field: moment} for moment in moments), good)])
    assert (status, answer["accepted"]) == (200, 1)
    assert [list(fault["errors"]) for fault in answer["rejected"]] == [[field]] * len(moments)
    assert [ticket.external_id for ticket in sender.tickets()] == ["H-good"]


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00-23:59", "20260101T000000+0000"]
)
def test_the_first_and_the_last_moment_can_be_kept(sender: Sender, moment: str) -> None:
    found = sender.taken(TICKET | {"updated_at": moment}).source_updated_at
    assert found is not None
    assert found.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_in_utc(sender: Sender) -> None:
    found = sender.taken(TICKET | {"updated_at": "2026-11-22T09:30:00"}).source_updated_at
    assert found is not None
    assert found.isoformat() == "2026-11-22T09:30:00+00:00"


def test_a_requester_that_is_no_address_is_rejected(sender: Sender) -> None:
    for address in (
        "a@",
        "@b.org",
        "a@b.org\nBcc: c@d.org",
        "a@b.org,c@d.org",
        "<a@b.org>",
        "é@é" * 9_999,
        "a@" + "é." * 9_999,
    ):
        assert set(sender.refused(TICKET | {"requester_email": address})[0]["errors"]) == {"requester_email"}


def test_a_link_that_could_do_harm_is_rejected(sender: Sender) -> None:
    for url in (
        "javascript:alert(1)",
        "file:///etc/passwd",
        "//x.org",
        "https://x.org/\n",
        "data:,x",
        "http://" + "a." * 9_999,
    ):
        assert set(sender.refused(TICKET | {"url": url})[0]["errors"]) == {"url"}


def test_a_huge_text_is_cut_with_a_mark_and_whole_in_its_delivery(sender: Sender) -> None:
    text = "Δ" * 500_000
    ticket = sender.taken(TICKET | {"short_description": text[:100_000], "long_description": text})
    assert ticket.short_description == "Δ" * 499 + "…"
    assert len(ticket.long_description) == 200_000
    assert ticket.long_description.endswith("ΔΔ\n[cut off: the text is longer]")
    with sender.db.read() as session:
        assert json.loads(session.get_one(Delivery, ticket.delivery_id).body or b"")["long_description"] == text


def test_no_letter_carries_more_marks_than_any_language_needs(sender: Sender) -> None:
    stack = "e" + "\u0327\u0301" * 200_000
    ticket = sender.taken(TICKET | {"short_description": stack, "long_description": f"{stack}\nשָׁלוֹם"})
    assert ticket.short_description == "e" + "\u0327\u0301" * 15
    assert ticket.long_description.endswith("\u0301\nשָׁלוֹם")


def test_an_id_is_repeated_only_as_far_as_an_id_goes(sender: Sender) -> None:
    (fault,) = sender.refused({"id": "x" * 1_000_000, "short_description": "x"})
    assert fault["id"] == "x" * 255
    assert set(fault["errors"]) == {"id"}


@pytest.mark.parametrize("piece", ["{{", "${", "{%", "#{", "{", "$a", "é", "😀"])
@pytest.mark.parametrize("field", ["id", "short_description", "requester_email", "priority", "url", "created_at"])
def test_a_field_of_a_megabyte_is_answered_at_once(sender: Sender, field: str, piece: str) -> None:
    text = piece * (1_000_000 // len(piece.encode()))
    began = time.thread_time()
    assert sender.send(TICKET | {field: text})[0] in (200, 422)
    assert time.thread_time() - began < 5


def test_a_batch_of_nothing_but_faults_is_told_one_by_one(sender: Sender) -> None:
    errors = sender.refused([TICKET | {"id": None} for _ in range(1_000)])
    assert [fault["index"] for fault in errors] == list(range(1_000))


SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]  # One receiver takes every example.

_numbers = st.integers() | st.floats() | st.sampled_from([10**40, -(10**39), 2**63, math.nan, math.inf])
_texts = (
    st.text(max_size=30)
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["", "\x00", "\ud800", "=1+1", "a@b.org"])
)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts | st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)
_tickets = st.dictionaries(st.sampled_from(FIELDS), _values).map(lambda changed: TICKET | changed) | _values
_wrapped = st.lists(_tickets, max_size=5).flatmap(
    lambda items: st.sampled_from([items, {"tickets": items}, {"requests": items}, {"data": items}, *items[:1]])
)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    written = json.dumps(draw(_wrapped), ensure_ascii=draw(st.booleans()))
    body = bytearray(written.encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"]", b"\\u"])
        )
    return bytes(body)


@given(_mutated())
@hypothesis_settings(deadline=None, max_examples=tries(150), suppress_health_check=SUPPRESSED)
def test_no_mutation_breaks_anything_or_slips_in(sender: Sender, body: bytes) -> None:
    before = sender.count()
    status, answer = sender.send(body)
    if status == 422:
        assert sender.count() == before
        assert sender.quarantined(answer["delivery"]) == body
    else:
        assert status == 200
        assert sender.count() == before + answer["accepted"]


@given(st.lists(_tickets, min_size=1, max_size=6).map(lambda items: json.loads(json.dumps(items))))
@hypothesis_settings(deadline=None, max_examples=tries(100), suppress_health_check=SUPPRESSED)
def test_every_ticket_of_a_batch_is_accounted_for(sender: Sender, batch: list[Any]) -> None:
    status, answer = sender.send(batch)
    if status == 422:
        assert isinstance(answer["errors"], str) or [fault["index"] for fault in answer["errors"]] == [
            *range(len(batch))
        ]
    else:
        told = sum(answer[name] for name in ("accepted", "updated", "duplicates")) + len(answer["rejected"])
        assert told == len(batch)
