"""The command line: python -m jobs."""

import gc
import io
import sys

if __name__ == "__main__":
    # What is imported stays, and the collector would look through it again and again: a seventh of a start.
    gc.set_threshold(50_000)

from jobs.commands import attribution, deliveries, digests, mail, main, people, stack, upkeep

# Each registers its commands with main.
__all__ = ["attribution", "deliveries", "digests", "mail", "main", "people", "stack", "upkeep"]

if __name__ == "__main__":
    # A terminal may know fewer letters than tickets and messages have.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    main(prog_name="python -m jobs")
