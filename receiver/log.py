"""One form of log line for every process."""

import logging
import sys

FORMAT = "%(asctime)s | %(levelname)s | %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


def configure(level: str) -> None:
    """Log to standard error, such as `2025-12-05 15:30:00 | INFO | Step 1: ...`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT, DATE_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These libraries log whole requests at DEBUG and INFO: addresses, headers, bodies with ticket text.
    for name in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "urllib3", "alembic", "rq"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # It warns of every retry with the address and its query.
