"""gunicorn's threaded worker, made patient with honest clients and short with slow ones."""

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.util import close_graceful  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from receiver.web.dashboard import live

# Long enough for MAX_BODY_MB over a slow line.
READING_SECONDS = 25.0
# What a client may still be sending when it is refused: several times MAX_BODY_MB as it is usually set.
DRAIN_BYTES = 32 * 2**20


class PatientWorker(ThreadWorker):  # type: ignore[misc]
    """A client that takes too long to send its request is not read any further, however steadily it sends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._heard_until: dict[Any, float] = {}

    def set_accept_enabled(self, enabled: bool) -> None:
        """Listen for connections, or no longer; gunicorn's main loop decides."""
        super().set_accept_enabled(enabled)
        # A worker that ends would leave its socket listening until its last client is served, and under `--reuse-port`
        # the kernel goes on giving it connections that nobody accepts. So it takes what has queued up, and closes it.
        if not self.alive:
            live.ending.set()
            for listener in self.sockets:
                # accept() takes one connection or none, and returns nothing; the count says when the queue is empty.
                before = -1
                while self.nr_conns != before:
                    before = self.nr_conns
                    self.accept(listener)
                listener.close()

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection to a thread; called by the main loop, as are the next two."""
        self._heard_until[conn] = time.monotonic() + READING_SECONDS
        super().enqueue_req(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Take a connection back from its thread."""
        self._heard_until.pop(conn, None)
        super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """End what has waited too long; called about every second."""
        super().murder_pending()
        moment = time.monotonic()
        for conn in [conn for conn, until in self._heard_until.items() if until < moment]:
            del self._heard_until[conn]
            # Only the reading half, so that an answer on its way, such as a large workbook, still arrives. The client
            # may have gone already.
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)

    def handle(self, conn: Any) -> Any:
        """Answer a request, in a thread."""
        # gunicorn's main loop would wait up to two seconds for the client to close its side too, and everybody with it;
        # here the thread waits. gunicorn also reads only 64 KB of what the client still sends: closing on more resets
        # the connection, and a sender or proxy sees a failure in place of our 413.
        kept = super().handle(conn)
        if not kept:
            with suppress(OSError):
                conn.sock.setblocking(True)
                close_graceful(conn.sock, max_drain=DRAIN_BYTES)
            # The main loop closes it again, and would then wait after all.
            conn.close = lambda *_, **__: None
        return kept
