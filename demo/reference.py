"""Write the reference pages that the code itself knows best: python -m demo.reference [FOLDER].

The settings come from their schema and the sentences of .env.example, the commands from click, the API from its OpenAPI
description and the roles that its views ask for.
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, NamedTuple, get_origin

import click
import marshmallow.fields as mf
from flask import Flask
from marshmallow.validate import OneOf, Range

from jobs.__main__ import main as commands
from receiver.lib import settings
from receiver.lib.settings import Settings
from receiver.web import auth
from receiver.web.app import create_app

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "reference"
_NOTICE = "<!-- Made by `python -m demo.reference`; change the code or .env.example, not this file. -->"
_ABOUT_SETTINGS = """\
Settings come from the environment, or from a file `.env` in the folder in which a command is started. What the
environment names wins, and an empty value means the default. The service names all wrong settings in one message before
anything starts, and warns of a name in `.env` that is nearly one of these."""
_ABOUT_COMMANDS = """\
Every command is `python -m jobs COMMAND`; `--help` shows the same as this page. A command ends with 0 when it is done,
with 1 when it failed, and with 2 when a setting or an option is wrong; it says why in its last lines."""
_ABOUT_API = """\
A running service describes every field at `/openapi.json`; `/docs` shows that as a page, to read and to try.
[Webhooks](webhooks.md) have a page of their own. *From* is the lowest [role](../how-to/people.md#roles) that may call
an operation."""
_HTTP_METHODS = ("get", "post", "put", "patch", "delete")


class Explained(NamedTuple):
    """One setting as .env.example has it: the section it stands in, its default as written, and its sentences."""

    section: str
    name: str
    default: str
    text: str


@click.command()
@click.argument("folder", default=PAGES, type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Write every page into FOLDER."""
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        click.echo(folder / name)


def pages() -> dict[str, str]:
    """The text of every page by its file name."""
    return {"settings.md": settings_page(), "commands.md": commands_page(), "api.md": api_page()}


def explained() -> Iterator[Explained]:
    """The settings in the order of .env.example, each with the comment above it."""
    section, sentences, closed = "", [""], True
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("# "):
            sentences = [] if closed else sentences
            sentences.append(line.removeprefix("# "))
            closed = False
        elif "=" in line:
            name, _, default = line.partition("=")
            yield Explained(section, name, default, " ".join(sentences))
            sentences, closed = [], True
        else:
            closed = True


def settings_page() -> str:
    """Every setting: its default, what it takes, and what it does."""
    known = {field.name.upper(): field for field in fields(Settings)}
    parts = [
        "# Settings",
        _NOTICE,
        _ABOUT_SETTINGS,
    ]
    section = None
    for setting in explained():
        if setting.section != section:
            section = setting.section
            parts += [f"## {section}", "| setting | default | takes | meaning |\n|---|---|---|---|"]
        default = f"`{setting.default}`" if setting.default else ""
        cells = [f"`{setting.name}`", default, _takes(known[setting.name]), _linked(setting.text)]
        parts[-1] += f"\n| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"
    return "\n\n".join(parts) + "\n"


def _takes(setting: Field[Any]) -> str:
    """The values of a setting, in words."""
    kind = setting.metadata["kind"]
    for rule in kind.validators:
        if isinstance(rule, OneOf):
            return ", ".join(f"`{choice}`" for choice in rule.choices)
        if isinstance(rule, Range):
            number = "whole number" if isinstance(kind, mf.Integer) else "number"
            return f"a {number} from {rule.min:,} to {rule.max:,}"
    if isinstance(kind, mf.Boolean):
        return "`true`, `false`"
    return "a list" if get_origin(setting.type) in (tuple, dict, frozenset) else "a text"


def _linked(text: str) -> str:
    """A comment of .env.example as Markdown: settings as code, and pages of ours as links."""
    names = "|".join(field.name.upper() for field in fields(Settings))
    pieces = text.split("`")  # Every second one stands between backticks, and stays as it is.
    pieces[::2] = [re.sub(rf"\b(?:{names})\b", r"`\g<0>`", piece) for piece in pieces[::2]]
    return re.sub(r"\bdocs/(how-to/[\w/-]+\.md)", r"[docs/\1](../\1)", "`".join(pieces))


def commands_page() -> str:
    """Every command with its options, as `--help` has them."""
    parts = [
        "# Commands",
        _NOTICE,
        _ABOUT_COMMANDS,
    ]
    for name, command in sorted(commands.commands.items()):
        parts += _described(command, name)
    return "\n\n".join(parts) + "\n"


def _described(command: click.Command, name: str, level: int = 2) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"{'#' * level} {name}"
    yield f"`{usage}`"
    yield " ".join((command.help or "").replace("\n\n", " ").split())
    rows = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    listed = [f"| `{row[0].replace('|', '&#124;')}` | {row[1]} |" for row in rows if row]
    if listed:
        yield "\n".join(["| option | does |\n|---|---|", *listed])
    if isinstance(command, click.Group):
        for inner, each in sorted(command.commands.items()):
            yield from _described(each, f"{name} {inner}", level + 1)


def api_page() -> str:
    """Every operation of the API: what it does, and from which role on."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(settings.load({"DATA_DIR": folder}))
        spec = app.test_client().get("/openapi.json").get_json()
        operations = list(_operations(app, spec))
    parts = [
        "# API",
        _NOTICE,
        spec["info"]["description"].strip(),
        _ABOUT_API,
    ]
    for tag in spec["tags"]:
        rows = [row for name, row in operations if name == tag["name"]]
        if rows and tag["name"] != "webhooks":
            heading = f"## {tag['name'].capitalize()}\n\n{tag.get('description', '')}".strip()
            parts.append(f"{heading}\n\n| operation | does | takes | from |\n|---|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _operations(app: Flask, spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each operation's tag, and its row."""
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            if method in _HTTP_METHODS:
                called = f"`{method.upper()} {path}`"
                cells = (called, operation.get("summary", ""), _parameters(spec, operation), _role(app, path, method))
                yield operation["tags"][0], f"| {' | '.join(cells)} |"


def _parameters(spec: dict[str, Any], operation: dict[str, Any]) -> str:
    query = [each["name"] for each in operation.get("parameters", ()) if each.get("in") == "query"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    names = [part["$ref"].rpartition("/")[2] for part in body.get("allOf", [body]) if "$ref" in part]
    sent = [each for name in names for each in spec["components"]["schemas"][name].get("properties", {})]
    return "; ".join(
        f"{where} {', '.join(f'`{name}`' for name in given)}"
        for where, given in (("query", query), ("body", sent))
        if given
    )


def _role(app: Flask, path: str, method: str) -> str:
    """From which role on an operation may be called."""
    concrete = re.sub(r"\{[^}]+\}", "1", path)
    endpoint, _ = app.url_map.bind("localhost").match(concrete, method.upper())
    return auth.needed_role(app.view_functions[endpoint], method.upper())


if __name__ == "__main__":
    main()
