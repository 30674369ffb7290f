"""Jobs as a person has it before them."""

import pytest
from playwright.sync_api import Dialog, Page, expect

from jobs.operations import scheduler
from receiver import queue
from receiver.db.database import Database
from receiver.lib.settings import Settings
from tests.browser.conftest import PHONE
from tests.browser.test_frame import Check
from tests.receiver.queue.test_inspection import enqueued, failed

pytestmark = pytest.mark.full


@pytest.fixture
def busy(config: Settings, db: Database) -> None:
    """Something of every kind."""
    scheduler.announce(db)
    with queue.connect(config.redis_url) as connection:
        failed(connection)
        for _ in range(3):
            enqueued(connection)


@pytest.mark.usefixtures("busy")
def test_jobs_keeps_nobody_out_and_fits_a_phone(page: Page, accessible: Check, fits: Check) -> None:
    page.goto("/jobs")
    page.locator("summary", has_text="nothing_of_this_name").click()
    accessible(page)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    fits(page)


@pytest.mark.usefixtures("busy")
def test_a_queue_is_emptied_by_keyboard_once_the_question_is_answered(page: Page) -> None:
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.on("dialog", _accept)
    page.get_by_role("row", name="training").get_by_role("button", name="Empty").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="3 jobs are thrown away")).to_be_visible()


def _accept(dialog: Dialog) -> None:
    assert "the 3 waiting jobs of training" in dialog.message
    dialog.accept()
