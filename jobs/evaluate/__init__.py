"""How good an engine is on labelled tickets: python -m jobs evaluate."""

import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from jobs import pull
from jobs.decide import decide
from jobs.engines import Engine, EngineError, Example, TicketText, make
from jobs.evaluate.figures import Labelled, Outcome
from jobs.pull import PullError
from receiver.catalog import Catalog
from receiver.record import database
from receiver.settings import Settings

LEARNING_ROUNDS = 10


def load(path: Path, catalog: Catalog) -> list[Labelled]:
    """The labelled tickets of a .jsonl file. Raises PullError, which names the ticket whose label is no entry."""
    labelled = []
    for number, item in enumerate(pull.from_file(path).items, start=1):
        label = (str(item.get("category")), str(item.get("request_type")))
        if catalog.find(*label) is None:
            raise PullError(
                f"{path.name}, ticket {number}: {' / '.join(label)} is not in the catalog; correct category and "
                "request_type, or set SERVICE_CATALOG_URL to the catalog that the tickets were labelled with"
            )
        text = TicketText(str(item.get("short_description") or ""), str(item.get("long_description") or ""))
        labelled.append(Labelled(number, text, label))
    if not labelled:
        raise PullError(f"{path.name} holds no tickets")
    return labelled


@contextmanager
def opened_engine(name: str, config: Settings, catalog: Catalog) -> Iterator[Engine]:
    """The engine of this name; what an LLM's calls cost counts in the record, and no answer is taken from there."""
    if name != "llm":
        yield make(name, config, catalog)
        return
    with database.opened(config.database_url) as record:
        database.migrate(record)
        yield make(name, config, catalog, record, repeats=False)


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
