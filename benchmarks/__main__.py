"""python -m benchmarks [NAME ...]: run the named benchmarks, or all, and print one table."""

import os
import sys
from collections.abc import Callable

import click
from rich.console import Console
from rich.table import Table

from benchmarks import accepts, answers, batches, dashboards, fan_out, growth, held, memory, one_shot, pages, workbook
from benchmarks.stack import ROUNDS, BenchmarkError, Line, stop_on_sigterm

BENCHMARKS: dict[str, Callable[[], list[Line]]] = {
    "accepts": accepts.run,
    "answers": answers.run,
    "batches": batches.run,
    "dashboards": dashboards.run,
    "fan-out": fan_out.run,
    "memory": memory.run,
    "growth": growth.run,
    "held": held.run,
    "one-shot": one_shot.run,
    "pages": pages.run,
    "workbook": workbook.run,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
def main(names: tuple[str, ...]) -> None:
    """Run the benchmarks NAMES, or all of them. A goal that is missed is shown, and is no error."""
    stop_on_sigterm()
    console, lines = Console(soft_wrap=True), []
    busy = os.getloadavg()[0]
    for name in names or BENCHMARKS:
        console.print(f"Measuring {name} ...")
        try:
            lines += BENCHMARKS[name]()
        except BenchmarkError as error:
            console.print(f"{name} broke: {error}", style="red", markup=False)
            sys.exit(1)
    console.print(_table(lines, busy))


def _table(lines: list[Line], busy: float) -> Table:
    headings = ("benchmark", "measured", "limit", "figure", "goal", "met")
    table = Table(*headings, title=f"Medians of {ROUNDS} rounds; the load average at the start was {busy:.1f}")
    for line in lines:
        met = "[green]yes[/]" if line.met else "[red]no[/]"
        table.add_row(line.name, line.measured, line.limit, line.figure, line.goal, met)
    return table


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
