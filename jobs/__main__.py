"""The command line: python -m jobs."""

from jobs.commands import attribution, deliveries, digests, main, people, stack, upkeep

# Each registers its commands with main.
__all__ = ["attribution", "deliveries", "digests", "main", "people", "stack", "upkeep"]

if __name__ == "__main__":
    main(prog_name="python -m jobs")
