"""The catalog, and how well an engine attributes to it."""

import json
import logging
import sys
from pathlib import Path

import click

from jobs.cli import FAILED, configured, main, say
from receiver.lib import files
from receiver.lib.settings import Settings, SettingsError

log = logging.getLogger("jobs")


@main.command()
@click.argument("location", required=False, metavar="[FILE|URL]")
@configured
def catalog(config: Settings, location: str | None) -> None:
    """Check the catalog in a FILE or at a URL, by default the settings' own: its mistakes, or what it leaves unsaid."""
    from receiver import catalog as catalogs

    found = catalogs.load(location or config.service_catalog_url, config.request_timeout, config.outgoing_allow)
    click.echo(f"The catalog is good; its version is {found.version}.")
    click.echo(", ".join(f"{count} {noun.replace('_', ' ')}" for noun, count in catalogs.counts(found).items()))
    for warning in catalogs.quality(found):
        say(f"- {warning}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--engine", "engine_name", type=click.Choice(["llm", "local"]), help="Default: as the settings say.")
@click.option("--learn", type=click.IntRange(1), help="Teach so many tickets of each type first; test with the rest.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@configured
def evaluate(config: Settings, file: Path, engine_name: str | None, learn: int | None, as_json: bool) -> None:
    """Measure an engine on the labelled tickets of FILE (.jsonl with category and request_type)."""
    from collections import Counter

    from sqlalchemy.exc import SQLAlchemyError

    from jobs.classification import evaluate as evaluation
    from jobs.classification.evaluate import metrics, report
    from jobs.helpdesks.pull import PullError
    from receiver import catalog as catalogs

    catalog = catalogs.load(config.service_catalog_url, config.request_timeout, config.outgoing_allow)
    for warning in catalogs.quality(catalog)[:1]:
        say(f"Note: {warning} python -m jobs catalog shows all.", err=True)
    name = engine_name or ("llm" if config.uses_llm else "local")
    if name == "llm" and not config.uses_llm:
        raise SettingsError("--engine llm: set OPENAI_API_KEY or OPENAI_BASE_URL first")
    unanswered: Counter[str] = Counter()
    try:
        tickets = evaluation.load(file, catalog)
        with evaluation.opened_engine(name, config, catalog) as engine:
            if learn:
                outcomes = evaluation.run_learning(engine, catalog, tickets, learn, unanswered=unanswered)
            else:
                outcomes = evaluation.run(engine, catalog, tickets, unanswered)
    except (PullError, SQLAlchemyError, OSError) as error:
        if files.refusal(error, config):
            raise
        log.error("The evaluation failed: %s", error)
        sys.exit(FAILED)
    for reason, count in unanswered.most_common():
        log.warning("%d not answered: %s", count, reason)
    if not outcomes:
        log.error("The evaluation failed: no ticket was answered")
        sys.exit(FAILED)
    measured = metrics.measure(outcomes, engine, config.review_threshold, unanswered.total())
    say(json.dumps(measured) if as_json else report.describe(measured))
