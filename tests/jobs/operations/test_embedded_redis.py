"""The folder of the embedded Redis' socket, where everybody may make folders."""

import hashlib
import os
from pathlib import Path

import pytest

from jobs.operations import embedded_redis
from receiver.lib import settings
from receiver.lib.settings import Settings, SettingsError, embedded_socket


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A DATA_DIR of so long a path that the socket goes under the folder for temporary files, here one of the test."""
    (tmp_path / "t").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    name = hashlib.sha256(bytes(tmp_path)).hexdigest() * 2
    return settings.load({"DATA_DIR": str(tmp_path / name)})


def test_a_folder_that_we_make_is_ours_alone(far: Settings) -> None:
    for _ in range(2):
        embedded_redis.command(far)
    folder = embedded_socket(far.data_dir).parent
    assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o700, os.getuid())


@pytest.mark.parametrize("prepared", ["open to others", "a link", "of another user", "a file"])
def test_what_somebody_else_has_prepared_is_refused_in_one_line(
    far: Settings, tmp_path: Path, prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = embedded_socket(far.data_dir).parent
    if prepared == "a file":
        folder.touch()
    elif prepared == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o700)
        folder.chmod(0o770 if prepared == "open to others" else 0o700)
    if prepared == "of another user":
        monkeypatch.setattr(os, "getuid", lambda: folder.lstat().st_uid + 1)
        monkeypatch.setattr("jobs.operations.embedded_redis.embedded_socket", lambda _folder: folder / "redis.sock")
    with pytest.raises(SettingsError) as raised:
        embedded_redis.command(far)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
