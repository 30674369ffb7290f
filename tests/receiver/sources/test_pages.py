"""The set-up pages are those that the profiles make."""

from receiver.sources import pages, profiles
from tests.conftest import ROOT


def test_the_pages_are_up_to_date() -> None:
    folder = ROOT / "docs" / "helpdesks"
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert kept == pages.all_pages(profiles.shipped()), "run python -m jobs sources docs"


def test_every_profile_says_how_it_is_connected_and_from_where_that_is_known() -> None:
    for profile in profiles.shipped().values():
        assert profile.setup.strip()
        assert profile.facts or profile.name in ("hmac", "token")
        assert "TEST SAMPLE" in profile.sample.body
