"""Single signed tickets a second, each durable before its answer, against a bare Flask view."""

from benchmarks import load
from benchmarks.load import Load
from benchmarks.stack import ROUNDS, Line, check_stored, stack
from receiver.lib import secret_files

GOAL = 0.25
CONNECTIONS = 16
WARM_UP, REQUESTS = 300, 2_500


def run() -> list[Line]:
    """One line: of the rounds, the one whose ratio is the median."""
    with stack() as processes:
        processes.migrate()
        processes.redis()
        ports = (
            processes.web("benchmarks.bare:app", "benchmarks.bare_conf"),
            processes.web("receiver.web.app:create_app()"),
        )
        secret = secret_files.webhook_secrets(processes.config)[0]
        _round(secret, ports, WARM_UP)
        rounds = [_round(secret, ports, REQUESTS) for _ in range(ROUNDS)]
        check_stored(processes, "standard", WARM_UP + ROUNDS * REQUESTS)
    limit, ours = sorted(rounds, key=_ratio)[ROUNDS // 2]
    ratio = _ratio((limit, ours))
    name = f"accepts, {CONNECTIONS} connections"
    return [Line(name, _figures(ours), _figures(limit), f"{ratio:.2f}", f">= {GOAL}", ratio >= GOAL)]


def _round(secret: str, ports: tuple[int, int], count: int) -> tuple[Load, Load]:
    requests = [load.delivery(secret, load.ticket()) for _ in range(count)]
    bare, real = ports
    # The bare view takes the same delivery again and again, so that both are measured for some seconds.
    return load.send_all(bare, requests * 4, CONNECTIONS), load.send_all(real, requests, CONNECTIONS)


def _ratio(loads: tuple[Load, Load]) -> float:
    bare, real = loads
    return real.rate / bare.rate


def _figures(result: Load) -> str:
    return f"{result.rate:,.0f}/s, p50 {result.milliseconds(50):.1f} ms, p99 {result.milliseconds(99):.1f} ms"
