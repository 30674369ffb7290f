"""The browser of tests and pictures is found wherever it is, or one line says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from demo.browser import NAMES
from tests.conftest import ROOT


def _put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def _look(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "demo.browser"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_notice_under_its_name_is_passed_over(tmp_path: Path) -> None:
    _put(tmp_path, "chromium", f'touch "{tmp_path}/asked"; echo install the snap; exit 1')
    real = next(filter(None, map(shutil.which, NAMES)), None)
    if real:  # Otherwise the one to be found is where no PATH leads to, such as Playwright's own.
        _put(tmp_path, "google-chrome", f'PATH="{os.environ["PATH"]}" exec "{real}" "$@"')
    told = _look(PATH=f"{tmp_path}:/usr/bin:/bin", CHROMIUM="")
    assert (told.returncode, told.stderr) == (0, "")
    assert (tmp_path / "asked").exists()


def test_what_is_named_and_does_not_start_is_told_in_one_line(tmp_path: Path) -> None:
    told = _look(CHROMIUM=str(_put(tmp_path, "broken", "exit 1")))
    assert told.returncode == 1
    assert "broken did not start; install Chromium or Chrome (on Debian: apt-get install chromium" in told.stderr
    assert len(told.stderr.splitlines()) == 1
