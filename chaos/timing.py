"""How secrets are compared: by reading the code, and by the clock."""

import ast
import base64
import math
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from chaos import forged
from chaos.result import Result
from receiver.intake import signatures
from receiver.intake.signatures import SignatureError
from tests.conftest import ROOT

# What is secret, or is compared with something secret, has one of these words in its name.
_SECRET_WORDS = ("secret", "token", "signature", "digest_of", "hmac", "expected", "offered", "password", "api_key")
_LIMIT = 4.5


def unsafe_comparisons(package: Path) -> list[str]:
    """Places where something that is called a secret is compared by anything else than hmac.compare_digest."""
    return [
        f"{path.relative_to(package.parent)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare) and _compares_a_secret(node)
    ]


def _compares_a_secret(node: ast.Compare) -> bool:
    by_value = any(isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops)
    sides = [node.left, *node.comparators]
    return by_value and any(_is_secret(side) for side in sides) and not any(_is_harmless(side) for side in sides)


def _is_secret(side: ast.expr) -> bool:
    names = [name.lower() for name in _names(side)]
    return any(word in name for name in names for word in _SECRET_WORDS)


def _is_harmless(side: ast.expr) -> bool:
    """A constant, a length and an id are no secrets; a digest that is looked up tells nothing of what it is of."""
    is_length = isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id == "len"
    is_digest = isinstance(side, ast.Attribute) and side.attr.endswith("_sha256")
    name = side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else ""
    is_id = name == "id" or name.endswith("_id")
    return isinstance(side, ast.Constant) or is_length or is_digest or is_id


def _names(side: ast.expr) -> Iterator[str]:
    for node in ast.walk(side):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def welch(first: list[int], second: list[int]) -> float:
    """Welch's t of two series of times."""
    spread = statistics.variance(first) / len(first) + statistics.variance(second) / len(second)
    return (statistics.fmean(first) - statistics.fmean(second)) / math.sqrt(spread)


def measured(rng: random.Random, tries: int) -> tuple[list[int], list[int]]:
    """Nanoseconds of refusing a signature whose first, and whose last byte is wrong, in random turns."""
    secret = forged.new_secret(rng)
    body = rng.randbytes(200)
    good = signatures.sign_standard(secret, "msg_1", forged.NOW, body)
    right = base64.b64decode(good["webhook-signature"][3:])
    wrong = [bytes([right[0] ^ 1]) + right[1:], right[:-1] + bytes([right[-1] ^ 1])]
    headers = [good | {"webhook-signature": "v1," + base64.b64encode(value).decode()} for value in wrong]
    turns = [0] * tries + [1] * tries
    rng.shuffle(turns)
    times: tuple[list[int], list[int]] = ([], [])
    for turn in turns:
        times[turn].append(_refusal(secret, headers[turn], body))
    return _without_interruptions(times)


def _refusal(secret: str, headers: dict[str, str], body: bytes) -> int:
    started = time.perf_counter_ns()
    try:
        signatures.verify_standard((secret,), headers, body, forged.NOW)
    except SignatureError:
        return time.perf_counter_ns() - started
    raise AssertionError("a wrong signature was accepted")


def _without_interruptions(times: tuple[list[int], list[int]]) -> tuple[list[int], list[int]]:
    """Both series without the slowest hundredth of them all, in which the machine did something else."""
    limit = sorted([*times[0], *times[1]])[len(times[0]) * 2 * 99 // 100]
    return [value for value in times[0] if value <= limit], [value for value in times[1] if value <= limit]


def s5_comparison(folder: Path, rng: random.Random, tries: int = 50_000) -> Result:
    """Every secret is compared in constant time, by the code and by the clock."""
    unsafe = [place for package in ("receiver", "jobs") for place in unsafe_comparisons(ROOT / package)]
    first, last = measured(rng, tries)
    t = welch(first, last)
    figures = (
        f"{len(unsafe)} unsafe comparisons; 2 x {tries} tries: first byte wrong {statistics.fmean(first):.0f} ns, "
        f"last byte wrong {statistics.fmean(last):.0f} ns, t = {t:.2f}"
    )
    return Result("S5", figures, unsafe + ([] if abs(t) < _LIMIT else [f"t is {t:.2f}"]))
