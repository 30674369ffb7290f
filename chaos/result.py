"""What a scenario found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """A scenario's name, its figures in words, and what was wrong."""

    name: str
    figures: str
    faults: list[str]
