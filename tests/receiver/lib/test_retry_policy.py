"""How long failed work rests."""

from datetime import timedelta

import pytest

from receiver.lib.retry_policy import WORK


@pytest.mark.parametrize("kind", WORK)
def test_every_pause_is_as_planned_and_at_most_a_tenth_longer_and_after_the_last_there_is_none(kind: str) -> None:
    policy = WORK[kind]
    for attempt, wait in enumerate(policy.waits, start=1):
        pause, planned = policy.wait_after(attempt), timedelta(seconds=wait)
        assert pause is not None
        assert planned <= pause <= min(planned * (1 + policy.jitter), policy.longest_wait)
    assert policy.wait_after(policy.most_attempts) is None


def test_what_failed_together_is_tried_again_apart() -> None:
    assert len({WORK["write_back"].wait_after(2) for _ in range(9)}) > 1
