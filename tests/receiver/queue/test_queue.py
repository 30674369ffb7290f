"""Wake-ups: few, small, plain JSON, and never in anybody's way."""

import json
import pickle
import signal
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import rq
from rq.exceptions import DeserializationError
from rq.serializers import JSONSerializer
from rq.utils import import_attribute

from jobs.classification import classify
from jobs.digests import send
from jobs.operations import embedded_redis
from receiver import queue
from receiver.db.database import Database
from receiver.lib import settings
from receiver.lib.settings import Settings
from receiver.queue import CLASSIFY, DIGEST, Waker
from tests.conftest import wait_until


@pytest.fixture
def connection(redis_url: str) -> Iterator["redis.Redis"]:
    with queue.connect(redis_url) as connected:
        yield connected


def _waiting(connection: "redis.Redis", name: str = CLASSIFY) -> int:
    return queue.depths(connection)[name]


def _values(connection: Any) -> Iterator[bytes]:
    """Every value that Redis holds, as its bytes."""
    for key in connection.scan_iter():
        match connection.type(key):
            case b"string":
                yield connection.get(key)
            case b"hash":
                yield from connection.hvals(key)
            case b"list":
                yield from connection.lrange(key, 0, -1)
            case b"set":
                yield from connection.smembers(key)
            case b"zset":
                yield from connection.zrange(key, 0, -1)
            case b"stream":
                yield from (value for _, entry in connection.xrange(key) for value in entry.values())
            case other:
                raise AssertionError(other)


def _plain(value: bytes) -> str:
    """The text in a value, unpacked where RQ has packed it. Fails for anything binary, such as a pickle."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        packed = zlib.decompress(value).decode()
        json.loads(packed)
        return packed


def test_only_plain_text_and_json_is_ever_in_redis(connection: "redis.Redis", db: Database) -> None:
    queue.wake(CLASSIFY, connection)
    queue.wake(DIGEST, connection)
    worker = rq.SimpleWorker([queue.queue(DIGEST, connection)], connection=connection, serializer=JSONSerializer)
    assert worker.work(burst=True, logging_level="ERROR")
    values = list(_values(connection))
    assert len(values) > 20
    texts = [_plain(value) for value in values]
    assert any(queue.CLASSIFY_JOB in found and found.startswith("[") for found in texts)


class _Trap:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


def test_a_pickle_that_somebody_puts_into_redis_runs_nothing(connection: "redis.Redis", tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    rq.Queue(CLASSIFY, connection=connection).enqueue(queue.CLASSIFY_JOB, _Trap(trap))
    assert any(b"Path" in zlib.decompress(value) for value in _values(connection) if value.startswith(b"\x78"))
    [job] = queue.queue(CLASSIFY, connection).get_jobs()
    with pytest.raises(DeserializationError):
        _ = job.args
    assert not trap.exists()
    pickle.loads(pickle.dumps(_Trap(trap)))  # noqa: S301
    assert trap.exists()


@pytest.mark.parametrize("enough", [1, 3])
def test_a_queue_never_holds_more_wake_ups_than_are_enough(connection: "redis.Redis", enough: int) -> None:
    for _ in range(10):
        queue.wake(CLASSIFY, connection, enough)
    assert _waiting(connection) == enough
    assert _waiting(connection, DIGEST) == 0


def test_a_job_that_has_started_does_not_stand_in_for_what_comes_after_it(connection: "redis.Redis") -> None:
    queue.wake(CLASSIFY, connection)
    target = queue.queue(CLASSIFY, connection)
    assert target.pop_job_id() is not None
    queue.wake(CLASSIFY, connection)
    assert target.count == 1


@pytest.mark.parametrize(("name", "job"), [(CLASSIFY, classify.classify_due), (DIGEST, send.send_due)])
def test_a_wake_up_names_a_job_that_exists_and_carries_nothing(connection: "redis.Redis", name: str, job: Any) -> None:
    queue.wake(name, connection)
    [woken] = queue.queue(name, connection).get_jobs()
    assert import_attribute(woken.func_name or "") is job
    assert (list(woken.args), woken.kwargs) == ([], {})
    assert woken.timeout == queue.TIMEOUTS[name]


def test_a_classify_job_has_time_for_its_budget_and_for_what_is_in_flight(config: Settings) -> None:
    assert queue.TIMEOUTS[CLASSIFY] > classify.BUDGET_SECONDS + 2 * config.llm_timeout


def test_every_queue_has_a_depth_and_one_that_is_away_says_so(connection: "redis.Redis", tmp_path: Path) -> None:
    assert queue.depths(connection) == dict.fromkeys(queue.QUEUES, 0)
    with pytest.raises(redis.RedisError):
        queue.depths(queue.connect(f"unix://{tmp_path}/nobody.sock"))


def test_the_waker_wakes_and_many_askers_get_one_wake_up(connection: "redis.Redis", redis_url: str) -> None:
    waker = Waker(redis_url, enough=1)
    for _ in range(200):
        waker.wake(CLASSIFY)
        waker.wake(DIGEST)
    wait_until(lambda: _waiting(connection) and _waiting(connection, DIGEST))
    assert (_waiting(connection), _waiting(connection, DIGEST)) == (1, 1)


def test_a_wake_up_is_asked_for_again_while_the_last_one_is_on_its_way(
    connection: "redis.Redis", redis_url: str
) -> None:
    waker, target = Waker(redis_url, enough=1), queue.queue(CLASSIFY, connection)
    for _ in range(20):
        waker.wake(CLASSIFY)
        wait_until(lambda: target.count)
        assert target.pop_job_id() is not None


@contextmanager
def _server(config: Settings) -> Iterator[None]:
    with subprocess.Popen(embedded_redis.command(config)) as process, queue.connect(config.redis_url) as connected:
        wait_until(lambda: _answers(connected))
        try:
            yield
        finally:
            process.terminate()


def _answers(connected: "redis.Redis") -> bool:
    try:
        return bool(connected.ping())
    except redis.RedisError:
        return False


def _woken(config: Settings) -> int:
    with queue.connect(config.redis_url) as connected:
        return _waiting(connected)


def test_the_waker_returns_at_once_and_recovers_when_redis_comes_back(tmp_path: Path) -> None:
    config = settings.load({"DATA_DIR": str(tmp_path / "own")})
    waker = Waker(config.redis_url, enough=1)
    waker.wake(CLASSIFY)
    for _ in range(2):
        with _server(config):
            with queue.connect(config.redis_url) as connected:
                connected.flushall()
            waker.wake(CLASSIFY)
            wait_until(lambda: _woken(config) == 1)
        started = time.monotonic()
        for _ in range(1000):
            waker.wake(CLASSIFY)
        assert time.monotonic() - started < 30


def test_a_redis_that_hangs_holds_up_only_the_waker(tmp_path: Path) -> None:
    config = settings.load({"DATA_DIR": str(tmp_path / "own")})
    with subprocess.Popen(embedded_redis.command(config)) as process, queue.connect(config.redis_url) as connected:
        wait_until(lambda: _answers(connected))
        waker = Waker(config.redis_url, enough=1)
        try:
            process.send_signal(signal.SIGSTOP)
            started = time.monotonic()
            for _ in range(1000):
                waker.wake(CLASSIFY)
            assert time.monotonic() - started < 30
            process.send_signal(signal.SIGCONT)
            waker.wake(CLASSIFY)
            wait_until(lambda: _woken(config) >= 1)
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


def test_a_client_with_a_timeout_gives_up_instead_of_trying_again(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen(10)
        silent.setblocking(False)
        with pytest.raises(redis.TimeoutError):
            queue.connect(f"unix://{tmp_path}/silent.sock", timeout=0.05).ping()
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()
