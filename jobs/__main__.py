"""The command line: python -m jobs."""

from jobs.commands import attribution, deliveries, digests, main, stack, upkeep

__all__ = ["attribution", "deliveries", "digests", "main", "stack", "upkeep"]  # Each registers its commands with main.

if __name__ == "__main__":
    main(prog_name="python -m jobs")
