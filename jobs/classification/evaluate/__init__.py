"""How good an engine is on labelled tickets: python -m jobs evaluate."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobs.classification.decide import decide
from jobs.classification.engines import make
from jobs.classification.engines.base import Engine, EngineError, Example, TicketText
from jobs.classification.evaluate.metrics import Labelled, Outcome
from jobs.helpdesks import pull
from jobs.helpdesks.pull import PullError
from receiver.catalog import Catalog
from receiver.db import database
from receiver.lib.settings import Settings

LEARNING_ROUNDS = 10


_SHAPE = (
    'evaluate reads a .jsonl file, one ticket a line: {"short_description": "...", "long_description": "...", '
    '"category": "...", "request_type": "..."}'
)


def load(path: Path, catalog: Catalog) -> list[Labelled]:
    """The labelled tickets of a .jsonl file. Raises PullError, which names the ticket whose label is no entry."""
    if path.suffix.lower() not in (".jsonl", ".json"):
        raise PullError(f"{path.name} is another kind of file; {_SHAPE}")
    labelled = [_labelled(path, number, item) for number, item in enumerate(pull.from_file(path).items, start=1)]
    if not labelled:
        raise PullError(f"{path.name} holds no tickets; {_SHAPE}")
    strange = [ticket for ticket in labelled if catalog.find(*ticket.label) is None]
    if strange:
        raise PullError(
            f"{path.name}, ticket {strange[0].number}: {' / '.join(strange[0].label)} is not in the catalog. "
            f"{catalog.near(*strange[0].label)} So it is with {len(strange)} of {len(labelled)} tickets; correct their "
            "category and request_type, or set SERVICE_CATALOG_URL to the catalog that they were labelled with"
        )
    return labelled


def _labelled(path: Path, number: int, item: Any) -> Labelled:
    fields = item if isinstance(item, dict) else {}
    missing = [name for name in ("category", "request_type") if not fields.get(name)]
    if missing:
        raise PullError(f"{path.name}, ticket {number} has no {' and no '.join(missing)}; {_SHAPE}")
    text = TicketText(str(fields.get("short_description") or ""), str(fields.get("long_description") or ""))
    return Labelled(number, text, (str(fields["category"]), str(fields["request_type"])))


@contextmanager
def opened_engine(name: str, config: Settings, catalog: Catalog) -> Iterator[Engine]:
    """The engine of this name; what an LLM's calls cost counts in the record, and no answer is taken from there."""
    if name != "llm":
        yield make(name, config, catalog)
        return
    with database.opened(config.database_url) as db:
        database.migrate(db)
        yield make(name, config, catalog, db, repeats=False)


def run(
    engine: Engine, catalog: Catalog, tickets: Sequence[Labelled], unanswered: Counter[str] | None = None
) -> list[Outcome]:
    """Attribute every ticket as a job would, review threshold aside.

    Those that the engine has no answer to are left out, and counted in `unanswered` by the reason.
    """

    def attribute(ticket: Labelled) -> Outcome | EngineError:
        started = time.perf_counter()
        try:
            proposal = engine.propose(ticket.text)
        except EngineError as error:
            return error
        latency = (time.perf_counter() - started) * 1000
        return Outcome(ticket, decide(proposal, catalog, threshold=0), proposal, latency)

    with ThreadPoolExecutor(engine.parallel) as pool:
        found = list(pool.map(attribute, tickets))
    if unanswered is not None:
        unanswered.update(str(error) for error in found if isinstance(error, EngineError))
    return [outcome for outcome in found if isinstance(outcome, Outcome)]


def run_learning(
    engine: Engine,
    catalog: Catalog,
    tickets: Sequence[Labelled],
    count: int,
    rounds: int = LEARNING_ROUNDS,
    unanswered: Counter[str] | None = None,
) -> list[Outcome]:
    """Cross-validation: `rounds` times, teach the engine `count` random tickets of each type, attribute the others.

    Raises PullError where no ticket is left to attribute.
    """
    outcomes, asked = [], 0
    try:
        for seed in range(rounds):
            shuffled = random.Random(seed).sample(tickets, len(tickets))  # noqa: S311 - repeatable, not secret.
            taught, rest = _parted(shuffled, count)
            engine.learn([Example(ticket.number, ticket.text, *ticket.label) for ticket in taught])
            outcomes += run(engine, catalog, rest, unanswered)
            asked += len(rest)
    finally:
        engine.learn([])
    if not asked:
        raise PullError(f"no request type has more than {count} tickets, so none is left to test with")
    return outcomes


def _parted(tickets: Iterable[Labelled], count: int) -> tuple[list[Labelled], list[Labelled]]:
    """The first `count` tickets of each type, and the others."""
    seen: Counter[tuple[str, str]] = Counter()
    taught: list[Labelled] = []
    rest: list[Labelled] = []
    for ticket in tickets:
        seen[ticket.label] += 1
        (taught if seen[ticket.label] <= count else rest).append(ticket)
    return taught, rest
