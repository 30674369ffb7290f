"""One form of log line for every process."""

import logging
import re
import sys

FORMAT = "%(asctime)s | %(levelname)s | %(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
# What moves a terminal's cursor, colours it, types into it, or turns what follows around.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """The text as a terminal may be shown it, with control characters as escapes; lines and tabs stay."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _Formatter(logging.Formatter):
    """Log lines may name what others called something."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def configure(level: str) -> None:
    """Log to standard error, such as `2025-12-05 15:30:00 | INFO | Step 1: ...`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(FORMAT, DATE_FORMAT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These libraries log whole requests at DEBUG and INFO: addresses, headers, bodies with ticket text.
    for name in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "urllib3", "alembic", "rq"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # It warns of every retry with the address and its query.
