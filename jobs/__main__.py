"""The command line: python -m jobs."""

import gc

if __name__ == "__main__":
    # What is imported stays, and the collector would look through it again and again: a seventh of a start.
    gc.set_threshold(50_000)

from jobs.commands import attribution, deliveries, digests, mail, main, people, stack, upkeep

# Each registers its commands with main.
__all__ = ["attribution", "deliveries", "digests", "mail", "main", "people", "stack", "upkeep"]

if __name__ == "__main__":
    main(prog_name="python -m jobs")
