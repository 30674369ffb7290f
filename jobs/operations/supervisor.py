"""The whole stack in the foreground: starts the processes, restarts what dies, stops everything cleanly."""

import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any
from uuid import uuid4

import redis
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from jobs.operations import embedded_redis
from jobs.operations.child_process import AWAY, FIRST_DELAY, Child, Fork, adopt_orphans
from jobs.operations.stack_lock import owned, owner
from receiver import queue
from receiver.db import heartbeat, people, processes, sign_in
from receiver.db.database import is_at_head, make_folder, migrate, opened, refuse_newer
from receiver.db.heartbeat import SCHEDULER, Heartbeat
from receiver.lib import data_dir_lock, files
from receiver.lib.clock import now
from receiver.lib.settings import Settings, SettingsError, addressed, bracketed

STOP_SECONDS = 12.0
_POLL_SECONDS = 0.1
_REDIS_SECONDS = 2.0
_TELLING_SECONDS = 20  # After which a fork that cannot write into the record is ended.
_GUNICORN = ("-c", "python:receiver.web.gunicorn_conf", "receiver.web.app:create_app()")

log = logging.getLogger(__name__)


class Supervisor:
    """Keeps children running, from its first line to its last; SIGTERM and Ctrl-C end it.

    Nothing here waits for Redis or the record: what is to be written there about a child that died, a fork writes.
    """

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._first: list[Child] = []
        self._others: list[Child] = []
        self._signals: list[int] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Supervisor":
        self._previous = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        adopt_orphans()
        # Where standard input, output or errors are closed, the next file would be taken for one of them.
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(descriptor)
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def start(self, *children: Child, first: bool = False) -> None:
        """Start children, which from then on are kept running; what comes `first` is stopped last."""
        for child in children:
            child.hears = True
            child.keep_running()
        (self._first if first else self._others).extend(children)

    def keep(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Keep all of them running until SIGTERM or Ctrl-C."""
        while not self._signals:
            for child in (*self._first, *self._others):
                code = child.keep_running()
                child.pass_on()
                if code not in (None, AWAY):
                    self._tell(child)
            self._reap_orphans()
            on_tick()
            pipes = [pipe for child in (*self._first, *self._others) for pipe in child.pipes]
            select.select(pipes, [], [], _POLL_SECONDS)

    def _tell(self, child: Child) -> None:
        """Write into the record that a child died, where the watch finds it; best effort, in a fork that ends soon."""
        place, words = heartbeat.place(child.last_pid), child.last_words()

        def write() -> None:
            signal.alarm(_TELLING_SECONDS)
            with (
                suppress(SQLAlchemyError, OSError),
                opened(self._config.database_url) as db,
                db.write() as session,
            ):
                processes.died(session, uuid4().hex, child.name, place, now(), words)

        Fork("note", write, None)

    def _reap_orphans(self) -> None:
        """Let go what ended whose parent had died before, and the forks that wrote something."""
        mine = {child.process.pid for child in (*self._first, *self._others) if child.process}
        with suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in mine:
                    return  # Its own turn comes, and then that of those behind it.
                os.waitpid(ended.si_pid, os.WNOHANG)

    def __exit__(self, *_error: object) -> None:
        for group in (self._others, self._first):
            until = time.monotonic() + STOP_SECONDS
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.stop(until)
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def up(config: Settings) -> None:
    """Migrate, start everything, print where to go, and stay until asked to stop. Raises Settings- and SchemaError."""
    _check_port(config)
    _check_redis(config)
    with owned(config.data_dir), Supervisor(config) as supervisor:
        data_dir_lock.hold(config.data_dir)
        for line in files.make_private(config):
            log.warning("%s", line)
        with opened(config.database_url) as db:
            make_folder(db)
            refuse_newer(db)
        if config.embeds_redis:
            guard = config.data_dir / "redis" / "server.lock"
            supervisor.start(Child("redis", embedded_redis.command(config), guard=guard), first=True)
        # It takes a second until it can answer, in which this process migrates and loads what the workers need.
        web = Child("web", [sys.executable, "-m", "gunicorn", *_GUNICORN])
        supervisor.start(web)
        link = _prepared(config)
        load()
        supervisor.start(*workers(config), _forked(SCHEDULER, config, run_timetable))
        announce, watches = _Announcement(config, link), [_watch(config)]

        def tick() -> None:
            announce()
            if watches and web.delay > FIRST_DELAY:  # The web processes watch; where they keep dying, nobody would.
                supervisor.start(watches.pop())

        supervisor.keep(tick)


def work(config: Settings) -> None:
    """Keep a worker running for each queue until asked to stop."""
    data_dir_lock.hold(config.data_dir)
    load()
    with Supervisor(config) as supervisor:
        supervisor.start(*workers(config), _watch(config))
        supervisor.keep()


def _prepared(config: Settings) -> str | None:
    """Bring the record to the newest schema; the link for the first account, while there is none."""
    from jobs.classification.current_catalog import current_catalog  # Only now: the web server is to be started soon.
    from receiver.catalog import CatalogError

    with opened(config.database_url) as db:
        if not is_at_head(db):
            _migrate_apart(config)
        with db.write() as session:
            link = None if people.first_admin(session) else sign_in.issue(session, now())
        with suppress(CatalogError):  # Logged as an alarm; tickets are accepted all the same, and wait.
            current_catalog(db, config, asks=False)
    return link


def _migrate_apart(config: Settings) -> None:
    """Migrate in a process of its own, or this one and all that it forks would keep Alembic. Exits as that does."""

    def run() -> None:
        with opened(config.database_url) as db:
            migrate(db)

    if code := Fork("migrate", run, None).wait():
        sys.exit(code)


def workers(config: Settings) -> list[Child]:
    """A worker for every queue, and as many for `classify` as WORKERS says: forks that share what is loaded here."""
    names = [queue.CLASSIFY] * config.workers + [name for name in queue.QUEUES if name != queue.CLASSIFY]
    return [_forked(f"worker {name}", config, partial(serve, name)) for name in names]


def _forked(role: str, config: Settings, run: Callable[[Settings, Heartbeat], None]) -> Child:
    heartbeat = Heartbeat(config.database_url, role)

    def work() -> None:
        _wait_for_redis(config)
        run_with_redis(lambda: run(config, heartbeat))

    return Child(role, run=work)


def _wait_for_redis(config: Settings) -> None:
    """Wait until Redis answers; said once, while ending and starting again would say it every few seconds."""
    is_told = False
    while True:
        try:
            with queue.connect(config.redis_url, timeout=5.0) as connection:
                connection.ping()
        except (redis.RedisError, OSError) as error:
            if not is_told:
                log.warning("Redis is waited for: %s", queue.reason(error))
            is_told = True
            time.sleep(_REDIS_SECONDS)
        else:
            return


def _watch(config: Settings) -> Child:
    """A watch for where no web process is that would."""

    def run() -> None:
        from receiver.actions import watch

        ending = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: ending.set())
        with opened(config.database_url) as db:
            watch.run(db, config, ending)

    return Child("watch", run=run)


def serve(name: str, config: Settings, heartbeat: Heartbeat | None = None) -> None:
    """Serve the queue `name` until asked to stop."""
    from jobs.operations import worker

    data_dir_lock.hold(config.data_dir)
    worker.work(name, config, heartbeat)


def load() -> None:
    """Load what workers and the scheduler need, once for all of them, whose memory it then is."""
    for module in ("jobs.operations.worker", "jobs.operations.scheduler", "receiver.actions.watch"):
        importlib.import_module(module)
    configure_mappers()
    gc.collect()
    gc.freeze()  # Else each of them would copy all of it the first time its collector looks through it.


def run_timetable(config: Settings, heartbeat: Heartbeat | None = None) -> None:
    """Run the timetable until asked to stop; it is written into the record too, for the page that shows it."""
    from jobs.operations import scheduler

    data_dir_lock.hold(config.data_dir)
    try:
        with opened(config.database_url) as db:
            scheduler.announce(db)
    except (SQLAlchemyError, OSError) as error:  # The page shows an older timetable then; this one runs all the same.
        log.warning("The timetable is not written into the record: %s", type(error).__name__)
    scheduler.run(config, heartbeat)


def run_with_redis(run: Callable[[], None]) -> None:
    """Run what needs Redis. Without it the process exits with `AWAY`, and whoever keeps it running starts it again."""
    try:
        run()
    except queue.UnsuitableError as error:
        raise SettingsError(str(error)) from None
    except (redis.RedisError, OSError) as error:
        log.error("Redis is away: %s", queue.reason(error))
        sys.exit(AWAY)


def _check_port(config: Settings) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        where = f"{bracketed(config.host)}:{config.port}"
        running = owner(config.data_dir)  # Who starts the same stack twice means this one.
        told = f"; DATA_DIR is in use by {running}" if running else ""
        raise SettingsError(f"HOST and PORT: {where} cannot be used: {error.strerror}{told}") from None


def _check_redis(config: Settings) -> None:
    """Refuse a server that can never carry our queues; one that is away may come back, and tickets wait meanwhile."""
    if config.embeds_redis:
        return
    try:
        queue.check_suitable(queue.connect(config.redis_url, timeout=2.0))
    except queue.UnsuitableError as error:
        raise SettingsError(str(error)) from None
    except (redis.RedisError, OSError) as error:
        log.warning("Redis is away: %s", queue.reason(error))


class _Announcement:
    """Prints the addresses once the web server answers."""

    def __init__(self, config: Settings, link: str | None) -> None:
        self._config, self._link, self._done = config, link, False

    def __call__(self) -> None:
        if self._done or not self._answers():
            return
        self._done = True
        print(f"Ticket Attribution is ready: {self._config.url}/{addressed(self._config)}", flush=True)
        if self._link:
            print(f"Make the first account, once and within a day: {self._config.url}/sign-in/{self._link}", flush=True)

    def _answers(self) -> bool:
        import requests

        try:
            return requests.get(f"{self._config.local_url}/healthz", timeout=0.5).ok
        except requests.RequestException:
            return False
