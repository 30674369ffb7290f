"""How often a property is tried: at length by itself and in `make test-full`, a few times in `make test`."""

from hypothesis import settings

SHORT = "short"  # A profile of Hypothesis: pytest --hypothesis-profile short.


def tries(count: int) -> int:
    """So many examples; under the profile `short` a fifth of them, but five where there are as many."""
    return max(min(count, 5), count // 5) if settings.get_current_profile_name() == SHORT else count
