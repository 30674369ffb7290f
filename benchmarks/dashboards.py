"""Five hundred open dashboards over ten thousand tickets of the largest size, and the memory of a web process.

All of them are at one process. Each asks for its live stream, and who is told that there is no room for it asks for the
same every five seconds, as a browser does; meanwhile each opens the overview, the tickets, and a single ticket. Memory
is the most that was seen: the proportional set size, which shares out what processes have in common, and the resident
one, which does not. The tickets are written past the search index, which none of these pages reads.
"""

import http.client
import re
import socket
import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks import million
from benchmarks.memory import pss
from benchmarks.stack import BenchmarkError, Line, Stack, stack
from receiver.db import people, sign_in
from receiver.db.database import Database
from receiver.lib import roles, text_limits
from receiver.lib.clock import now

TICKETS, DASHBOARDS = 10_000, 500
_MOST_MB = 500
_AT_ONCE = 16  # Pages that are opened at the same moment.
_EVERY_SECONDS = 5.0
_PAGES = ("/", "/tickets", f"/tickets/{TICKETS}")


def run() -> list[Line]:
    """A line for the memory, and one for who was served how."""
    with stack() as processes, ExitStack() as opened:
        processes.migrate()
        processes.redis()
        with processes.db() as db:
            million.fill(db, TICKETS)
            _enlarge(db)
        port = processes.web("receiver.web.app:create_app()", WEB_WORKERS="1")
        [pid] = processes.web_workers()
        idle = pss(pid)
        headers = _signed_in(processes, port)
        answers = Counter[int]()
        for _ in range(DASHBOARDS):
            stream = opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            answers[_status_of_stream(stream, headers)] += 1
        most, polls, gets = _watched(pid, port, headers, answers[503])
        resident = _resident_at_most(pid)
    used = f"{most:.0f} MB (resident: {resident:.0f} MB; idle: {idle:.0f} MB)"
    gets.sort()
    pages = f"{len(gets)} pages: p50 {gets[len(gets) // 2]:.2f} s, p99 {gets[len(gets) * 99 // 100]:.2f} s"
    told = f"{answers[200]} streams, {answers[503]} were told to ask, and did {polls[200]} times; {pages}"
    served = sum(answers.values()) == answers[200] + answers[503] and set(polls) <= {200}
    return [
        Line(f"memory of {DASHBOARDS} dashboards", used, "", f"{most:.0f} MB", f"< {_MOST_MB} MB", most < _MOST_MB),
        Line(f"{DASHBOARDS} dashboards", told, "", f"{polls.total() - polls[200]} unserved", "0 unserved", served),
    ]


def _enlarge(db: Database) -> None:
    """Give every ticket texts of the largest size."""
    assert db.path is not None
    subject, text = (
        ("Wörter über VPN " * (most // 16 + 1))[:most] for most in (text_limits.MOST_SUBJECT, text_limits.MOST_TEXT)
    )
    with closing(sqlite3.connect(db.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        with million.without_indexes_and_triggers(connection):
            connection.execute("UPDATE tickets SET short_description = ?, long_description = ?", (subject, text))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _signed_in(processes: Stack, port: int) -> dict[str, str]:
    """The headers of a browser in which a person is signed in."""
    with processes.db() as db, db.write() as session:
        person = people.add(session, "grace@example.com", "Grace Hopper", roles.ADMIN, now(), password_hash="!")
        link = f"/sign-in/{sign_in.issue(session, now(), person)}"
    cookies: dict[str, str] = {}
    form, _ = _asked(port, "GET", link, cookies)
    [csrf] = re.findall(r'name="csrf_token" value="([^"]+)"', form)
    body = f"csrf_token={csrf}"
    _, status = _asked(port, "POST", link, cookies, body)
    if status != 302:
        raise BenchmarkError(f"the person could not sign in ({status})")
    return {"Cookie": _written(cookies)}


def _asked(port: int, method: str, path: str, cookies: dict[str, str], body: str | None = None) -> tuple[str, int]:
    """A page's text and status; what it sets is added to `cookies`."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, path, body, {"Cookie": _written(cookies)} | kind)
        answer = connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            cookies[name] = value
        return answer.read().decode(), answer.status


def _written(cookies: dict[str, str]) -> str:
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def _status_of_stream(stream: socket.socket, headers: dict[str, str]) -> int:
    """Ask for the overview's stream, which stays open where it is served."""
    stream.sendall(f"GET /live/overview HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {headers['Cookie']}\r\n\r\n".encode())
    return int(stream.recv(65_536).split(b" ", 2)[1])


def _watched(pid: int, port: int, headers: dict[str, str], askers: int) -> tuple[float, Counter[int], list[float]]:
    """The most megabytes while every dashboard opens its pages, the answers to who asks, and each page's seconds."""
    ended, polls, seen = threading.Event(), Counter[int](), [0.0]

    def ask() -> None:
        while not ended.is_set():
            polls[_get(port, "/live/overview?once", headers)[0]] += 1
            ended.wait(_EVERY_SECONDS / askers)  # Each of them every five seconds.

    def look() -> None:
        while not ended.wait(0.2):
            seen.append(pss(pid))

    threads = [threading.Thread(target=look), *[threading.Thread(target=ask)] * bool(askers)]
    for thread in threads:
        thread.start()
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(lambda path: _get(port, path, headers), _PAGES * DASHBOARDS))
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    if failed := {status for status, _ in answers} - {200}:
        raise BenchmarkError(f"a page was answered with {failed}")
    return max(seen), polls, [seconds for _, seconds in answers]


def _get(port: int, path: str, headers: dict[str, str]) -> tuple[int, float]:
    """The status of a GET, and its seconds."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.monotonic() - began


def _resident_at_most(pid: int) -> float:
    """The most megabytes that a process ever had in memory."""
    [kilobytes] = re.findall(r"^VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(kilobytes) / 1024
