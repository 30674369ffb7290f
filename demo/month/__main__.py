"""Fill a folder with a believable month: python -m demo.month FOLDER. Then it says how to look at it."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from demo.month import helpdesks
from demo.month.clockwork import DAYS, Month
from receiver.db import alarms
from receiver.db.database import Database, migrate, opened
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.settings import Settings


def configured(folder: Path, **more: str) -> Settings:
    """The settings to fill and to look at the month by."""
    return settings.load(environment(folder) | more)


def environment(folder: Path) -> dict[str, str]:
    """The same as an environment."""
    return {
        "DATA_DIR": str(folder),
        "SOURCES_FILE": str(folder / "sources.yaml"),
        "RECIPIENT_EMAIL": "it-managers@example.com",
        "SENDER_NAME": "IT Service Desk",
    }


def fill(folder: Path, until: datetime | None = None, seed: int = 7, days: int = DAYS) -> Settings:
    """Fill an empty folder with the days before `until`; returns the settings to look at it by."""
    folder.mkdir(parents=True, exist_ok=True)
    helpdesks.write_file(folder / "sources.yaml")
    config = configured(folder)
    with opened(config.database_url) as db:
        migrate(db)
        Month(db, config, until or now(), seed, days).run()
        _sound_alarms(db, until or now())
    return config


def _sound_alarms(db: Database, at: datetime) -> None:
    source = "zammad-clinics"
    with db.write() as session:
        alarms.raise_(session, "source", at, "silent", source, source=source, hours="9.2")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The day it ends with; today.")
@click.option("--seed", default=7, show_default=True, help="Another number makes another month.")
def main(folder: Path, until: datetime | None, seed: int) -> None:
    """Fill FOLDER, which must not hold a record yet, with a month of invented tickets."""
    if (folder / "tickets.db").exists():
        raise click.ClickException(f"{folder} holds a record already; name an empty folder")
    began = time.monotonic()
    fill(folder, until and until.replace(hour=16, tzinfo=UTC), seed)
    click.echo(f"A month is in {folder}, after {time.monotonic() - began:.0f} s. To look at it:\n")
    variables = " ".join(f"{name}='{value}'" for name, value in environment(folder).items())
    click.echo(f"  {variables} python -m jobs up\n  DATA_DIR='{folder}' python -m jobs token --sign-in")


if __name__ == "__main__":
    main(prog_name="python -m demo.month")
