"""Redis as people have it: with few rights, behind Sentinels, with TLS of an own CA; and what cannot work, in words."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from receiver import queue
from receiver.db import timetable
from receiver.db.database import Database
from receiver.db.models import TimedJob
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.settings import SettingsError
from receiver.queue import admin, inspection
from receiver.web.app import create_app
from tests.conftest import wait_until
from tests.jobs.operations.test_pipeline import environment_of, run_jobs
from tests.peers import servers
from tests.peers.http import free_port

pytestmark = pytest.mark.full

SECRET = "not-to-be-told"
LIMITED = f"+@all -@dangerous ~rq:* resetchannels &rq:* >{SECRET} on"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with a user who may not ask what it likes."""
    with servers.server(tmp_path_factory.mktemp("plain")) as port:
        with redis.Redis(port=port) as connection:
            connection.execute_command("ACL", "SETUSER", "limited", *LIMITED.split())
            connection.execute_command("ACL", "SETUSER", "reader", "+@read", "~*", f">{SECRET}", "on")
        yield port


def test_a_user_who_may_not_ask_how_the_server_is_can_do_everything(plain: int, db: Database, tmp_path: Path) -> None:
    url = f"redis://limited:{SECRET}@127.0.0.1:{plain}/0"
    environ = environment_of(tmp_path, REDIS_URL=url, DATABASE_URL=db.url)
    with queue.connect(url) as connection, (tmp_path / "log").open("w") as log:
        queue.check_suitable(connection)
        queue.probe(connection)
        assert (queue.eviction(connection), queue.forgets(connection)) == (None, None)
        commands = [("scheduler",), ("worker", "maintenance")]
        processes = [
            subprocess.Popen([sys.executable, "-m", "jobs", *command], cwd=tmp_path, env=environ, stderr=log)
            for command in commands
        ]
        try:
            wait_until(lambda: _has_run(db, "jobs.operations.maintenance.sweep"))
            assert [worker.queues for worker in inspection.look(connection, now()).workers] == [queue.MAINTENANCE]
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            codes = [process.wait(60) for process in processes]
        admin.run_now(connection, queue.DIGEST, queue.DIGEST_JOB)
        assert admin.empty(connection, queue.DIGEST) > 0
    assert codes == [0, 0], (tmp_path / "log").read_text()
    assert "Traceback" not in (tmp_path / "log").read_text()
    app = create_app(settings.load(environ))
    assert app.test_client().get("/readyz").get_json()["redis"] == "up"


def _has_run(db: Database, name: str) -> bool:
    with db.read() as session:
        job: TimedJob | None = timetable.timed_job(session, name)
        return job is not None and job.ended_at is not None and job.error is None


@pytest.mark.parametrize("command", [("worker", "classify"), ("scheduler",), ("up",)])
def test_cluster_mode_is_refused_in_words_at_the_start(tmp_path: Path, command: tuple[str, ...]) -> None:
    with servers.server(tmp_path, "--cluster-enabled", "yes") as port:
        environ = environment_of(tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}")
        ended = run_jobs(tmp_path, environ, *command)
    assert ended.returncode == 2
    assert "cluster mode" in ended.stderr
    assert "Traceback" not in ended.stderr


@contextmanager
def _replicated(folder: Path) -> Iterator[tuple[str, int, int]]:
    """A master and a replica that both want a password, behind a Sentinel: the URL, and the two ports."""
    for name in ("one", "two", "sentinel"):
        (folder / name).mkdir()
    password = ("--requirepass", SECRET, "--masterauth", SECRET)
    with (
        servers.server(folder / "one", *password) as master,
        servers.server(folder / "two", *password, "--replicaof", f"127.0.0.1 {master}") as replica,
        servers.sentinel(folder / "sentinel", master, f"sentinel auth-pass ours {SECRET}") as port,
    ):
        yield f"redis+sentinel://:{SECRET}@127.0.0.1:1,127.0.0.1:{port}/ours/0", master, replica


def test_behind_a_sentinel_we_follow_the_master(tmp_path: Path) -> None:
    with _replicated(tmp_path) as (url, master, replica), queue.connect(url) as connection:
        queue.check_suitable(connection)
        wait_until(lambda: _takes(connection))
        assert _role(master) == "master"
        wait_until(lambda: _replicas(master) == 1)
        sentinel = int(url.rpartition(":")[2].partition("/")[0])
        with redis.Redis(port=sentinel) as asked:
            with pytest.raises(queue.UnsuitableError, match=r"redis\+sentinel://"):
                queue.check_suitable(asked)
            wait_until(lambda: asked.execute_command("SENTINEL", "replicas", "ours"))
        with redis.Redis(port=master, password=SECRET) as old:
            old.shutdown(nosave=True, now=True)
        wait_until(lambda: _role(replica) == "master")
        wait_until(lambda: _takes(connection))
        queue.wake(queue.CLASSIFY, connection)
        with redis.Redis(port=replica, password=SECRET) as new:
            assert new.llen("rq:queue:classify") == 1


def _takes(connection: "redis.Redis") -> bool:
    try:
        queue.probe(connection)
    except redis.RedisError:
        return False
    return True


def _role(port: int) -> str:
    with redis.Redis(port=port, password=SECRET) as connection:
        try:
            return str(connection.info("replication")["role"])
        except redis.RedisError:
            return "unknown"


def _replicas(port: int) -> int:
    with redis.Redis(port=port, password=SECRET) as connection:
        return int(connection.info("replication")["connected_slaves"])


def test_tls_with_an_own_ca_works_and_without_it_the_reason_is_said(plain: int, tmp_path: Path) -> None:
    made = servers.certificate(tmp_path)
    with servers.behind_tls(plain, made) as port:
        url = f"rediss://localhost:{port}/0"
        queue.probe(queue.connect(f"{url}?ssl_ca_certs={made[0]}"))
        queue.probe(queue.connect(f"{url}?ssl_cert_reqs=none"))
        said = {
            "untrusted": _reason(url),
            "plain text to TLS": _reason(f"redis://localhost:{port}/0"),
            "TLS to plain text": _reason(f"rediss://127.0.0.1:{plain}/0", timeout=0.5),
            "another name": _reason(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={made[0]}"),
        }
    assert "self-signed certificate" in said["untrusted"]
    assert "?ssl_ca_certs=" in said["untrusted"]
    assert "rediss://" in said["plain text to TLS"]
    assert "redis:// instead of rediss://" in said["TLS to plain text"]
    assert "127.0.0.1" in said["another name"]


def _reason(url: str, timeout: float = 5.0) -> str:
    with pytest.raises((redis.RedisError, OSError)) as raised:
        queue.probe(queue.connect(url, timeout=timeout))
    said = queue.reason(raised.value)
    assert SECRET not in said
    assert "\n" not in said
    return said


def test_why_redis_is_away_is_said_without_its_secrets(plain: int, tmp_path: Path) -> None:
    closed = f"127.0.0.1:{free_port()}"
    assert "user or the password" in _reason(f"redis://limited:wrong{SECRET}@127.0.0.1:{plain}")
    assert "nobody listens" in _reason(f"redis://:{SECRET}@{closed}")
    assert "name of its host" in _reason(f"redis://:{SECRET}@nowhere.invalid")
    assert "not there" in _reason(f"unix://{tmp_path}/none.sock")
    assert "may not run set" in _reason(f"redis://reader:{SECRET}@127.0.0.1:{plain}")
    assert "no Sentinel" in _reason(f"redis+sentinel://:{SECRET}@{closed}/ours")
    with redis.Redis(port=plain) as connection:
        connection.config_set("maxmemory", 1)
        try:
            assert "memory is full" in _reason(f"redis://127.0.0.1:{plain}")
        finally:
            connection.config_set("maxmemory", 0)
        connection.replicaof("127.0.0.1", 1)
        try:
            assert "replica" in _reason(f"redis://127.0.0.1:{plain}")
        finally:
            connection.replicaof("NO", "ONE")


def test_a_server_that_keeps_nothing_is_told(plain: int) -> None:
    with queue.connect(f"redis://127.0.0.1:{plain}") as connection:
        assert "keeps nothing on its disk" in (queue.forgets(connection) or "")
        connection.config_set("save", "60 1000")
        assert queue.forgets(connection) is None
        connection.config_set("save", "")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://host", "Must begin with redis://"),
        ("redis+sentinel://one:26379", "Name the master"),
        ("redis+sentinel:///ours", "Name the Sentinels"),
        ("redis+sentinel://one:26379,two/ours/first", "number of the database"),
        ("redis+sentinel://one:port/ours", "Not a valid URL"),
        (f"redis://:{SECRET}@host:port", "Not a valid URL"),
        ("rediss://host?ssl_cert_reqs=CERT_NONE", "none, optional or required"),
        ("rediss://host?ssl_ca_certs=/no/such/ca.pem", "ssl_ca_certs names a file"),
        ("rediss+sentinel://host/ours?ssl_ca_certs=/no/such/ca.pem", "ssl_ca_certs names a file"),
        ("redis://host?socket_timeout=soon", "Not a valid URL"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_the_settings(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings.load({"REDIS_URL": url})
    assert said in str(raised.value)
    assert SECRET not in str(raised.value)
