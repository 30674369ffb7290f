"""The set-up pages are those that the profiles make."""

import pytest

from receiver.sources import pages, profiles
from tests import shown
from tests.conftest import ROOT


def test_the_pages_are_up_to_date() -> None:
    folder = ROOT / "docs" / "helpdesks"
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert kept == pages.all_pages(profiles.shipped()), "run python -m jobs sources docs"


def test_the_table_of_what_is_tested_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    seen = shown.collected("--collect-only")
    assert shown.PAGE.read_text(encoding="utf-8") == shown.page(seen), "run python -m tests.shown"


def test_every_profile_says_how_it_is_connected_and_from_where_that_is_known() -> None:
    for profile in profiles.shipped().values():
        assert profile.setup.strip()
        assert profile.facts or profile.name in ("hmac", "token")
        assert "TEST SAMPLE" in profile.sample.body
