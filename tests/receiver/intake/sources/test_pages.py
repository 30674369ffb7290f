"""The set-up pages are those that the profiles make."""

from dataclasses import replace

import pytest

from receiver.intake import sources
from receiver.intake.sources import pages, profiles
from receiver.lib.settings import Settings, SettingsError
from tests import shown
from tests.conftest import ROOT
from tests.receiver.intake.sources.desks import SECRET, WEBHOOK_SECRET

WRITTEN = {"write-back.md", "tested.md"}  # Not made of the profiles.


def test_the_pages_are_up_to_date() -> None:
    made = pages.all_pages(profiles.shipped())
    folder = ROOT / "docs" / "how-to" / "connect"
    kept = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.name not in WRITTEN}
    assert kept == made, "run python -m jobs sources docs"


def test_the_table_of_what_is_tested_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    seen = shown.collected("--collect-only")
    assert shown.PAGE.read_text(encoding="utf-8") == shown.page(seen), "run python -m tests.shown"


def test_what_a_page_writes_into_sources_file_is_a_source_once_it_is_filled_in(config: Settings) -> None:
    path = config.data_dir.with_name("sources.yaml")
    filled = {
        '"..."': f'"{SECRET}"',
        "whsec_...": WEBHOOK_SECRET,
        "user:password": f"user:{SECRET}",
        "//...": "//a.example",
    }
    for profile in profiles.shipped().values():
        text = pages.page(profile).partition("```yaml\n")[2].partition("```")[0]
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError):
            sources.configured(replace(config, sources_file=str(path)))
        for left, value in filled.items():
            text = text.replace(left, value)
        path.write_text(text, encoding="utf-8")
        found = sources.configured(replace(config, sources_file=str(path), public_url="https://hooks.example.com"))
        assert found[f"{profile.name}-desk"].completes == profile.completes


def test_every_profile_says_how_it_is_connected_and_from_where_that_is_known() -> None:
    for profile in profiles.shipped().values():
        assert profile.setup.strip()
        assert profile.facts or profile.name in ("hmac", "token")
        assert "TEST SAMPLE" in profile.sample.body
