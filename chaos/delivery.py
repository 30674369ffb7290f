"""What must arrive: digests, labels, and copies of the record. Also the power cut, and backups under load."""

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from chaos import checks, digests_once, model_faults
from chaos.ledger import Ledger, send_all
from chaos.result import Result
from chaos.world import running
from receiver.db import database
from receiver.db.database import Database, opened
from tests.factories import deliver, incoming

COPIES = "copies"


class PowerCuts:
    """Copies the database and its log at every commit of this process, as a power cut would leave them.

    The copy is made by the committer, who still has the writers' turn: so it is the state of exactly that commit.
    """

    def __init__(self, db: Database, folder: Path, rng: random.Random) -> None:
        self.db, self.folder, self.rng, self.count = db, folder / COPIES, rng, 0
        self.promised: list[tuple[int, list[str]]] = []  # How many copies there were when these were acknowledged.
        self.logged = Path(f"{db.path}-wal").stat().st_size
        self.lock = threading.Lock()
        self.folder.mkdir(parents=True)

    def copy(self, _session: Session) -> None:
        """Copy both files; and where the log has grown, also as if the power had failed while it was written."""
        path, log = Path(str(self.db.path)), Path(f"{self.db.path}-wal")
        whole = log.read_bytes() if log.exists() else b""
        torn = whole[: self.rng.randint(self.logged, len(whole))] if len(whole) > self.logged else None
        for content in (torn, whole):
            if content is not None:
                target = self.folder / f"{self.count}{'' if content is whole else '.torn'}.db"
                shutil.copyfile(path, target)
                Path(f"{target}-wal").write_bytes(content)
        self.logged = len(whole)
        with self.lock:
            self.count += 1

    def note(self, names: list[str]) -> None:
        """These are acknowledged now."""
        with self.lock:
            self.promised.append((self.count, names))

    def faults(self) -> list[str]:
        """What is wrong in the copies: a broken invariant, or an acknowledged ticket that is not there."""
        return [fault for number in range(self.count) for fault in self._examine(number)]

    def _examine(self, number: int) -> list[str]:
        found = []
        for name, copies in ((f"{number}.db", number), (f"{number}.torn.db", number - 1)):
            if (self.folder / name).exists():
                found += [f"{name}: {fault}" for fault in checks.database(self.folder / name)]
                found += [f"{name}: {lost} is lost" for lost in self._lost(self.folder / name, copies)]
        return found

    def _lost(self, path: Path, copies: int) -> list[str]:
        wanted = {name for before, names in self.promised if before <= copies for name in names}
        return sorted(wanted - names_in(path))[:5]


def names_in(path: Path) -> set[str]:
    """The tickets in a database file."""
    with opened(f"sqlite:///{path}") as db, db.engine.connect() as connection:
        return {str(row[0]) for row in connection.exec_driver_sql("SELECT external_id FROM tickets")}


def write_under_power_cuts(folder: Path, rng: random.Random, batches: int) -> PowerCuts:
    """Several threads record deliveries while the real drain classifies them, with a copy at every commit."""
    from jobs.classification import classify
    from jobs.classification.current_catalog import current_catalog
    from jobs.classification.engines import choose
    from receiver.lib import settings

    config = settings.load({"DATA_DIR": str(folder / "data")})
    with opened(config.database_url) as db:
        database.migrate(db)
        catalog = current_catalog(db, config)
        cuts = PowerCuts(db, folder, rng)
        event.listen(Session, "after_commit", cuts.copy)

        def send(writer: int) -> None:
            for number in range(batches):
                names = [f"P-{writer}-{number}-{part}" for part in range(3)]
                deliver(db, *(incoming(external_id=name) for name in names))
                cuts.note(names)

        writers = [threading.Thread(target=send, args=(writer,)) for writer in range(3)]
        try:
            for writer in writers:
                writer.start()
            while any(writer.is_alive() for writer in writers):
                classify.ClassificationRun(db, choose(config, catalog), catalog, config).run(60)
            classify.ClassificationRun(db, choose(config, catalog), catalog, config).run(60)
        finally:
            for writer in writers:
                writer.join()
            event.remove(Session, "after_commit", cuts.copy)
    return cuts


def t13_power_cut(folder: Path, rng: random.Random, batches: int = 40) -> Result:
    """Every commit is followed by a power cut in a copy."""
    cuts = write_under_power_cuts(folder, rng, batches)
    torn = len(list(cuts.folder.glob("*.torn.db")))
    figures = f"{cuts.count} commits and {torn} torn logs opened, {sum(len(n) for _, n in cuts.promised)} tickets"
    return Result("T13", figures, cuts.faults())


def command(*arguments: str, **environment: str) -> str:
    """The output of a real command line; raises CalledProcessError where it fails."""
    own = os.environ | environment
    run = [sys.executable, "-m", "jobs", *arguments]
    return subprocess.run(run, env=own, check=True, capture_output=True, text=True, timeout=120).stdout


def t16_backup_and_restore(folder: Path, rng: random.Random, rounds: int = 20) -> Result:
    """Backups while tickets arrive and are classified, each restored to another place."""
    ledger, faults, sizes = Ledger(), [], []
    with running(folder, workers=1) as world:
        sender = threading.Thread(target=send_all, args=(world.config, ledger, rng, rounds * 100, "A"))
        sender.start()
        for number in range(rounds):
            promised = set(ledger.acknowledged)
            target, place = folder / f"{number}.backup", folder / f"restored-{number}"
            command("backup", str(target))
            command("restore", str(target), "--yes", DATA_DIR=str(place))
            for path in (place / "tickets.db",):
                faults += [f"{path.name} {number}: {fault}" for fault in checks.database(path)]
            names = names_in(place / "tickets.db")
            faults += [f"backup {number} lacks {lost}" for lost in sorted(promised - names)[:5]]
            sizes.append(len(names))
        sender.join()
        world.settle(seconds=300)
        faults += checks.broken(world, ledger)
    return Result("T16", f"{rounds} backups and restores under load, of {min(sizes)} to {max(sizes)} tickets", faults)


SCENARIOS: dict[str, Callable[..., Any]] = {
    **digests_once.SCENARIOS,
    **model_faults.SCENARIOS,
    "T13": t13_power_cut,
    "T16": t16_backup_and_restore,
}
