"""docker-compose.yml: where mails go, by what .env says."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from jobs.digests.mail import connection
from receiver.lib import settings
from receiver.lib.settings import Settings
from tests.conftest import ROOT

README_MAIL = """
SMTP_HOST=smtp.gmail.com
SMTP_PORT=587
SMTP_USERNAME=desk@example.com
SMTP_PASSWORD=abcdefghijklmnop
RECIPIENT_EMAIL=boss@example.com, lead@example.com
"""


def interpolated(text: str, names: dict[str, str | None]) -> str:
    """What Compose makes of ${NAME}, ${NAME:-other} and ${NAME:+other}."""

    def value(found: re.Match[str]) -> str:
        name, operator, other = found.groups()
        known = names.get(name) or ""
        return {"": known, ":-": known or other, ":+": other if known else ""}[operator or ""]

    return re.sub(r"\$\{(\w+)(:[-+])?([^}]*)\}", value, text)


def inside_a_container(folder: Path, written: str) -> Settings:
    """The settings of a service, as Compose puts them together from this .env."""
    (folder / ".env").write_text(written)
    names = dotenv_values(folder / ".env")
    service: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["worker"]
    environ: dict[str, str] = {}
    for file in service["env_file"]:
        path = interpolated(file["path"], names)
        place = folder / path if path == ".env" else ROOT / path
        assert place.exists() or not file["required"]
        values = dotenv_values(place, interpolate=False) if place.exists() else {}
        environ |= {name: interpolated(value or "", names) for name, value in values.items()}
    fixed = {name: interpolated(str(value), names) for name, value in service["environment"].items()}
    return settings.load(environ | fixed)


def test_without_a_mail_server_all_mails_go_to_the_catcher(tmp_path: Path) -> None:
    for written in ("", (ROOT / ".env.example").read_text()):
        found = inside_a_container(tmp_path, written)
        assert (found.smtp_host, found.smtp_port, connection.tls_of(found)) == ("mail", 1025, "none")
        assert (found.from_email, found.recipient_email) == ("tickets@example.com", ("manager@example.com",))


@pytest.mark.parametrize("rest", ["", (ROOT / ".env.example").read_text().replace("SMTP_", "# SMTP_")])
def test_with_one_nothing_of_the_catcher_applies(tmp_path: Path, rest: str) -> None:
    rest = re.sub(r"^RECIPIENT_EMAIL=.*$", "", rest, flags=re.MULTILINE)
    found = inside_a_container(tmp_path, rest + README_MAIL)
    assert (found.smtp_host, found.smtp_port, connection.tls_of(found)) == ("smtp.gmail.com", 587, "starttls")
    assert found.from_email == "desk@example.com"
    assert found.recipient_email == ("boss@example.com", "lead@example.com")
