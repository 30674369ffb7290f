"""docker-compose.yml: where mails go and which database is used, by what .env says."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from dotenv import dotenv_values

from jobs.digests.mail import connection
from receiver.lib import settings
from receiver.lib.settings import Settings
from tests.conftest import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
# The processes of ours, which all have the same settings.
OURS = ("migrate", "receiver", "worker", "scheduler")

README_MAIL = """
SMTP_HOST=smtp.gmail.com
SMTP_PORT=587
SMTP_USERNAME=desk@example.com
SMTP_PASSWORD=abcdefghijklmnop
RECIPIENT_EMAIL=boss@example.com, lead@example.com
"""


def interpolated(text: str, names: dict[str, str | None]) -> str:
    """What Compose makes of ${NAME}, ${NAME:-other} and ${NAME:+other}, also of one in another."""

    def value(found: re.Match[str]) -> str:
        name, operator, other = found.groups()
        known = names.get(name) or ""
        return {"": known, ":-": known or other, ":+": other if known else ""}[operator or ""]

    # From the inside out, while one is left that holds no other.
    while (replaced := re.sub(r"\$\{(\w+)(:[-+])?([^${}]*)\}", value, text)) != text:
        text = replaced
    return text


def inside_a_container(folder: Path, written: str) -> Settings:
    """The settings of a service, as Compose puts them together from this .env."""
    (folder / ".env").write_text(written)
    names = dotenv_values(folder / ".env")
    service: dict[str, Any] = COMPOSE["services"]["worker"]
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


def test_every_name_is_a_setting_and_every_process_has_the_same() -> None:
    worker = COMPOSE["services"]["worker"]
    assert set(worker["environment"]) <= {field.name.upper() for field in fields(Settings)}
    for name in OURS:
        service = COMPOSE["services"][name]
        assert (service["environment"], service["env_file"]) == (worker["environment"], worker["env_file"])


@pytest.mark.parametrize("written", ["", "REDIS_PASSWORD=abc\n", "POSTGRES_PASSWORD=of another program\n"])
def test_without_the_profile_the_database_is_sqlite_and_nothing_waits_for_another(tmp_path: Path, written: str) -> None:
    assert inside_a_container(tmp_path, written).database_url == "sqlite:////data/tickets.db"
    services = COMPOSE["services"]
    assert services["postgres"]["profiles"] == ["postgresql"]
    assert [name for name, service in services.items() if "profiles" in service] == ["postgres"]
    for name in OURS:
        assert services[name]["depends_on"]["postgres"] == {"condition": "service_healthy", "required": False}


@pytest.mark.parametrize(
    ("written", "password"), [("", "inside-this-network-only"), ("POSTGRES_PASSWORD=abc9", "abc9")]
)
def test_with_the_profile_it_is_the_server_that_compose_starts(tmp_path: Path, written: str, password: str) -> None:
    written += "\nCOMPOSE_PROFILES=postgresql\n"
    found = urlsplit(inside_a_container(tmp_path, written).database_url)
    server = COMPOSE["services"]["postgres"]
    names = dotenv_values(tmp_path / ".env")
    started = {name: interpolated(value, names) for name, value in server["environment"].items()}
    assert (found.scheme.partition("+")[0], found.hostname, found.port) == ("postgresql", "postgres", None)
    assert found.path == f"/{started['POSTGRES_DB']}"
    assert (found.username, found.password) == (started["POSTGRES_USER"], started["POSTGRES_PASSWORD"])
    assert found.password == password
    (network,) = server["networks"]
    assert network in COMPOSE["services"]["worker"]["networks"]
    assert COMPOSE["networks"][network]["internal"]
    (kept,) = server["volumes"]
    assert kept.partition(":")[0] in COMPOSE["volumes"]
    assert started["POSTGRES_USER"] in server["healthcheck"]["test"]


def test_a_database_of_ones_own_comes_before_it(tmp_path: Path) -> None:
    written = "COMPOSE_PROFILES=postgresql\nDATABASE_URL=postgresql://me:secret@db.example.com/desk\n"
    assert urlsplit(inside_a_container(tmp_path, written).database_url).hostname == "db.example.com"
