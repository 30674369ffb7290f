"""The command line: python -m jobs."""

import gc
import io
import sys

if __name__ == "__main__":
    # What is imported stays, and the collector would look through it again and again: a seventh of a start.
    gc.set_threshold(50_000)

from jobs.cli import classification, deliveries, digests, mail, main, maintenance, people, stack

# Each registers its commands with main.
__all__ = ["classification", "deliveries", "digests", "mail", "main", "maintenance", "people", "stack"]

if __name__ == "__main__":
    # A terminal may know fewer letters than tickets and messages have.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    main(prog_name="python -m jobs")
