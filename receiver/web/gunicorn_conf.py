"""gunicorn's own settings, from ours. https://docs.gunicorn.org/en/stable/settings.html"""

import gc
import resource
import sys
import threading
from typing import Any

from sqlalchemy.orm import configure_mappers

from receiver.lib import data_dir_lock, files, settings

files.be_private()
try:
    _config = settings.load()
except settings.SettingsError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
for _line in files.make_private(_config):
    print(_line, file=sys.stderr)

bind = f"{settings.bracketed(_config.host)}:{_config.port}"
workers = _config.web_workers
# A thread stays with its client while a request comes in, and a slow client needs no more than a thread. Against 500
# that send a byte in ten seconds, 8 threads answer nobody else and 64 hardly anybody; 600, started only when needed,
# answer in milliseconds. That each of them can also open files takes more descriptors than the usual soft limit.
worker_class = "receiver.web.gunicorn_worker.PatientWorker"
threads = 600
_most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))
timeout = 30
# Shorter than the ten seconds after which a container is killed.
graceful_timeout = 8
keepalive = 5
# What is written under DATA_DIR is for its owner alone.
umask = 0o077
accesslog = None
errorlog = "-"
loglevel = "warning"
control_socket_disable = True
# A header must not say where a request goes, not even one that a proxy on this machine has passed on.
forwarder_headers = ""


def on_starting(_server: object) -> None:
    """Make the application once, before the workers are forked: they start at once, and share its memory."""
    from receiver.actions import watch  # noqa: F401
    from receiver.web import app

    try:
        data_dir_lock.hold(_config.data_dir)
    except settings.SettingsError as error:
        sys.exit(str(error))
    app.make_before_forks()
    configure_mappers()
    gc.collect()
    # Otherwise each worker would copy all of this memory when its collector first goes through it.
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Set up a worker after its fork: its threads, its garbage collector and its watch."""
    from receiver.actions import watch
    from receiver.web import state
    from receiver.web.dashboard import live

    tune()
    # The watch runs here too, so that alarms are raised however the stack was started: a web process needs no Redis.
    known = state.of(worker.wsgi).context
    watched = (known.db, known.settings, live.ending)
    threading.Thread(target=watch.run, args=watched, name="watch", daemon=True).start()


def tune() -> None:
    """Have many threads take turns quickly, and the garbage collector seldom."""
    # Python's default of 5 ms would let the thread that holds the database's write lock wait that long for its turn.
    sys.setswitchinterval(0.0005)
    # A batch makes thousands of objects that all live until it is answered.
    gc.set_threshold(50_000, 20, 50)
