"""What every test stands on: settings from .env.example, a migrated database, a real Redis, peers on loopback."""

import gc
import logging
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import httpx2
import pytest
import redis
from argon2 import PasswordHasher
from dotenv import dotenv_values
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as hypothesis_settings
from werkzeug.serving import make_server

from jobs.operations import embedded_redis
from receiver import catalog, queue
from receiver.catalog import Catalog
from receiver.db import database, people
from receiver.db.database import Database
from receiver.lib import roles, settings
from receiver.lib.clock import now
from receiver.lib.passwords import Passwords
from receiver.lib.settings import Settings
from receiver.web import state
from receiver.web.app import create_app, furnish
from tests import databases
from tests.peers import http, llm, smtp
from tests.peers.http import Peer
from tests.peers.smtp import MailServer
from tests.properties import SHORT

ROOT = Path(__file__).parents[1]
EXAMPLE = {name: value or "" for name, value in dotenv_values(ROOT / ".env.example").items()}
ADMIN, PASSWORD = "grace@example.com", "a long password of words"
_create_ssl_context = httpx2.create_ssl_context
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


# For properties that do not say how often they are to be tried; see tests/properties.py for the others.
hypothesis_settings.register_profile(SHORT, max_examples=20, deadline=None)

# The collector would look through all that is loaded again and again: a tenth of what the tests take.
gc.set_threshold(100_000, 20, 50)


def pytest_collection_finish() -> None:
    """Leave alone what stays until the end."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a server, without the tests of what is SQLite's own."""
    if databases.SERVER:
        own = [item for item in items if item.get_closest_marker("sqlite")]
        config.hook.pytest_deselected(items=own)
        items[:] = [item for item in items if item not in own]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> pytest.MonkeyPatch:
    """The environment of .env.example, with the data in a folder of this test; no .env of a developer is read."""
    for field in fields(Settings):
        monkeypatch.delenv(field.name.upper(), raising=False)
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)
    for name, value in EXAMPLE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "output"))
    if databases.SERVER and "db" in request.fixturenames:
        monkeypatch.setenv("DATABASE_URL", databases.new_url(tmp_path))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture(autouse=True)
def _quick_commits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits of this process do not wait for the disk, except in tests that are marked `durable`."""
    if not request.node.get_closest_marker("durable"):
        monkeypatch.setattr(database, "SYNCHRONOUS", "OFF")


@pytest.fixture(autouse=True)
def _known_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificates of the machine are read once, not for each client: 40 ms."""
    monkeypatch.setattr(httpx2, "create_ssl_context", _ssl_context)


@cache
def _ssl_context() -> ssl.SSLContext:
    return _create_ssl_context()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server, the embedded one, on a socket."""
    config = settings.load({"DATA_DIR": str(tmp_path_factory.mktemp("redis"))})
    with subprocess.Popen(embedded_redis.command(config)) as process:
        wait_until(lambda: _answers(config.redis_url))
        yield config.redis_url
        process.terminate()


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as connection:
            return bool(connection.ping())
    except redis.RedisError:
        return False


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Until `condition` holds; fails when it does not in time."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "the condition did not hold in time"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def redis_client(redis_server: str) -> Iterator["redis.Redis"]:
    """A connection that lasts, for what every test needs."""
    with redis.Redis.from_url(redis_server) as connection:
        yield connection


@pytest.fixture
def redis_url(redis_server: str, redis_client: "redis.Redis", environment: pytest.MonkeyPatch) -> str:
    """The server, emptied, and REDIS_URL set to it."""
    redis_client.flushall()
    environment.setenv("REDIS_URL", redis_server)
    return redis_server


@pytest.fixture
def config(redis_url: str) -> Settings:
    """The settings of this test's environment; dataclasses.replace changes them."""
    return settings.load()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database made by the migrations, with one admin, as whom `sign_in.issue(session, now())` lets a browser in."""
    with databases.made(databases.new_url(tmp_path_factory.mktemp("db"))) as url:
        with database.opened(url) as db:
            database.migrate(db)
            with db.write() as session:
                people.add(session, ADMIN, "Grace Hopper", roles.ADMIN, now(), password_hash=CHEAP.hash(PASSWORD))
        yield url


@pytest.fixture
def db(config: Settings, migrated: str) -> Iterator[Database]:
    """The record of this test's settings, empty but for one admin."""
    config.data_dir.mkdir(parents=True)
    with databases.made(config.database_url, migrated), database.opened(config.database_url) as opened:
        yield opened


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Database]:
    """A database in which nothing is yet."""
    with databases.made(databases.new_url(tmp_path / "new" / "folder")) as url, database.opened(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """An application whose routes those of the tests share; making a hundred of them takes longer than most tests."""
    return create_app(settings.load({"DATA_DIR": str(tmp_path_factory.mktemp("routed"))}))


@pytest.fixture
def application(routed: Flask) -> Callable[[Settings], Flask]:
    """Makes a web application of other settings, without an OpenID Connect provider."""

    def make(config: Settings) -> Flask:
        made = copy(routed)
        made.config, made.extensions = copy(routed.config), dict(routed.extensions)
        furnish(made, config)
        return made

    return make


@pytest.fixture
def app(config: Settings, db: Database, application: Callable[[Settings], Flask]) -> Flask:
    """The web application over this test's record."""
    made = application(config)
    made.testing = True
    # Redis is here, but a busy machine may let it answer later than a request would wait.
    web = state.of(made)
    web.redis = queue.connect(config.redis_url, timeout=20)
    web.context = replace(web.context, redis=web.redis)
    _ = web.context.sources, web.context.factor_cipher  # Read at the start, as the application does.
    web.passwords = Passwords(CHEAP)
    return made


@pytest.fixture
def site(app: Flask) -> Iterator[str]:
    """The address of this test's application, served over HTTP."""
    app.testing = False
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser or a sender that is not signed in."""
    return app.test_client()


@pytest.fixture(scope="session")
def shipped() -> Catalog:
    """The catalog that comes with the project."""
    return catalog.load(None, timeout=1)


@pytest.fixture
def model() -> Iterator[Peer]:
    """A model's endpoint; a test changes `respond`."""
    with http.serve(llm.endpoint()) as peer:
        yield peer


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A mail server without TLS."""
    with smtp.serve(MailServer()) as server:
        yield server
