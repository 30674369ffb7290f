"""The browser of tests and pictures is found wherever it is, or one line says what to do."""

import shutil
from pathlib import Path

import pytest

from demo import browser as chromium


def _put(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_notice_under_its_name_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with chromium.browser() as found:
        version = found.version
    real = next(filter(None, map(shutil.which, chromium.NAMES)), None)
    _put(tmp_path / "bin", "chromium", "echo install the snap; exit 1")
    _put(tmp_path / "bin", "google-chrome", f'exec "{real}" "$@"')
    monkeypatch.setattr(chromium, "PLACES", ())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with chromium.browser() as found:
        assert found.version == version


def test_what_is_named_and_does_not_start_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _put(tmp_path, "broken", "exit 1")
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "broken"))
    with pytest.raises(SystemExit) as ended:
        chromium.main()
    message = str(ended.value)
    assert "broken did not start" in message
    assert "apt-get install chromium" in message
    assert "\n" not in message


def test_a_machine_without_one_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromium, "_candidates", lambda _: iter(()))
    monkeypatch.setattr(chromium, "install", lambda: None)
    with pytest.raises(SystemExit, match="no Chromium was found; install Chromium or Chrome"):
        chromium.main()
