"""A release: its version stands in one place, and what it is made of is listed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from flask.testing import FlaskClient

from jobs.__main__ import main
from receiver.lib.version import newest_release
from tests.conftest import ROOT

MAKE = shutil.which("make") or "make"
HEADINGS = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_every_release_in_the_changelog_has_a_version_and_a_day_newest_first() -> None:
    found = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) \((\d{4}-\d\d-\d\d)\)", heading) for heading in HEADINGS]
    assert all(found), HEADINGS
    releases = [(tuple(map(int, match.groups()[:3])), match[4]) for match in found if match]
    assert releases == sorted(set(releases), reverse=True)
    assert len(releases) >= 2


def test_command_api_and_image_name_the_newest_release(client: FlaskClient) -> None:
    newest = HEADINGS[0].split()[0]
    assert newest_release() == newest
    assert CliRunner().invoke(main, ["--version"]).output == f"ticket-attribution {newest}\n"
    assert client.get("/openapi.json").get_json()["info"]["version"] == newest
    build = subprocess.run([MAKE, "-n", "image"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"VERSION={newest} " in build


@pytest.mark.parametrize("text", [None, "# Changelog\n\n## Coming\n"])
def test_without_a_changelog_the_version_is_that_of_the_installed_package_or_unknown(
    tmp_path: Path, text: str | None
) -> None:
    changelog = tmp_path / "CHANGELOG.md"
    if text:
        changelog.write_text(text)
    assert newest_release(changelog) == "unknown"


@pytest.mark.full
def test_the_bill_of_materials_is_valid_and_lists_every_locked_package(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.json"
    command = [MAKE, "-s", "-o", ".venv/installed-dev", "sbom", f"SBOM={bill}", f"BIN={Path(sys.executable).parent}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill.read_text()) is None
    found = json.loads(bill.read_text())
    locked = dict(re.findall(r"^([\w.\[\]-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {part["name"]: part["version"] for part in found["components"]} == {
        name.partition("[")[0]: version for name, version in locked.items()
    }
    assert all(part["externalReferences"][0]["hashes"] for part in found["components"])
    assert found["metadata"]["component"]["version"] == HEADINGS[0].split()[0]
