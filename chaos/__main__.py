"""Runs the long scenarios: `python -m chaos [--seed N] [NAME ...]`."""

import importlib
import importlib.util
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from chaos.result import Result

MODULES = ("processes", "intake", "helpdesks", "delivery", "month", "oneshot")
Scenario = Callable[[Path, random.Random], Result]


def scenarios() -> dict[str, Scenario]:
    """Every scenario by name."""
    found: dict[str, Scenario] = {}
    for module in (f"chaos.{name}" for name in MODULES):
        if importlib.util.find_spec(module):
            found |= importlib.import_module(module).SCENARIOS
    return found


def _run(scenario: Scenario, seed: int) -> tuple[Result, float]:
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        result = scenario(Path(folder), random.Random(seed))
    return result, time.monotonic() - started


@click.command()
@click.option("--seed", type=int, help="Without it, one of the clock.")
@click.argument("names", nargs=-1)
def main(seed: int | None, names: tuple[str, ...]) -> None:
    """Run the scenarios NAMES, or all of them, and print what was found."""
    known = scenarios()
    if unknown := [name for name in names if name not in known]:
        raise click.UsageError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    seed = int(time.time()) if seed is None else seed
    logging.getLogger("jobs.operations.supervisor").setLevel(
        logging.ERROR
    )  # Which says of every death that it happened.
    console, table, good = Console(), Table(title=f"Seed {seed}", show_lines=True), True
    for heading in ("scenario", "seconds", "figures", "faults"):
        table.add_column(heading, overflow="fold")
    for name in names or known:
        console.print(f"{name} ...")
        result, seconds = _run(known[name], seed)
        table.add_row(result.name, f"{seconds:.0f}", result.figures, "\n".join(result.faults) or "none")
        good = good and not result.faults
    console.print(table)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
