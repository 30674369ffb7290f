"""What holds of every template of the dashboard."""

import re

from tests.conftest import ROOT

TEMPLATES = {path.name: path.read_text() for path in (ROOT / "receiver/web/dashboard/templates").glob("*.html")}
LONGEST = 160


def test_no_line_is_longer_than_a_screen_is_wide() -> None:
    long = [
        f"{name}:{number}"
        for name, text in TEMPLATES.items()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > LONGEST
    ]
    assert TEMPLATES
    assert long == []


def test_every_macro_is_used() -> None:
    everything = "".join(TEMPLATES.values())
    named = re.findall(r"{%-? macro (\w+)\(", everything)
    assert named
    assert [name for name in named if len(re.findall(rf"\b{name}\(", everything)) < 2] == []


def test_what_is_imported_is_used() -> None:
    unused = [
        f"{name}: {imported}"
        for name, text in TEMPLATES.items()
        for line in re.findall(r'{%-? from "[^"]+" import ([\w, ]+?)(?: with context)? -?%}', text)
        for imported in line.split(", ")
        if len(re.findall(rf"\b{imported}\(", text)) == 0
    ]
    assert unused == []


def test_only_the_names_of_the_stylesheet_say_a_colour() -> None:
    style = (ROOT / "receiver/web/dashboard/static/style.css").read_text()
    names, elements, rest = style.partition("@layer base {")
    assert "light-dark(#" in names
    assert re.findall(r"#[0-9a-f]{3,8}\b(?=[^{]*;)|\brgba?\(|\bhsla?\(|light-dark\(", elements + rest) == []
