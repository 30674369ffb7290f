"""Sources as an admin has them before them."""

from dataclasses import replace

import pytest
import yaml
from playwright.sync_api import Page, expect

from receiver.lib.settings import Settings
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check
from tests.receiver.intake.sources import desks

pytestmark = pytest.mark.full


@pytest.fixture
def config(config: Settings) -> Settings:
    """Settings with a desk of every profile, one of which proves nothing; the secret of `standard` is kept."""
    # Not https: a browser gives back secure cookies to nobody else.
    made = replace(desks.settings_for(config), webhook_secret=(), public_url="http://127.0.0.1")
    path = config.data_dir.with_name("sources.yaml")
    entries = yaml.safe_load(path.read_text())["sources"]
    entries["a-desk-with-quite-a-long-name-without-a-proof"] = {
        "profile": "token",
        "unsigned": True,
        "allow_from": ["127.0.0.1"],
    }
    path.write_text(yaml.safe_dump({"sources": entries}))
    return made


def test_sources_keep_nobody_out_and_fit_a_phone(page: Page, accessible: Check, fits: Check) -> None:
    for path in ("/sources", "/sources/zendesk", "/sources/a-desk-with-quite-a-long-name-without-a-proof"):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(path)
        accessible(page)
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        fits(page)


def test_a_source_is_tried_and_its_secret_changed(page: Page, accessible: Check) -> None:
    page.goto("/sources")
    page.get_by_role("link", name="standard", exact=True).click()
    page.get_by_role("button", name="Test with a sample").click()
    expect(page.get_by_role("heading", name="The sample would be a ticket")).to_be_visible()
    accessible(page)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Make a new secret").click()
    expect(page.get_by_role("heading", name="The new secret")).to_be_visible()
    accessible(page)
    page.get_by_role("button", name="End the old ones now").click()
    expect(page.get_by_role("status").filter(has_text="Only the newest secret counts now.")).to_be_visible()
    expect(page.get_by_text("1 in force")).to_be_visible()
