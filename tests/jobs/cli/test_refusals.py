"""What the system refuses: files of another owner, folders that are none, a full or read-only place. One line each."""

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from receiver.db.database import migrate, opened
from receiver.lib import files, settings
from receiver.lib.settings import Settings
from tests.jobs.operations.test_pipeline import environment_of
from tests.peers.http import free_port

NOBODY = 65534
_PR_CAPBSET_DROP, _MAY_IGNORE_MODES = 24, (1, 2, 3)  # capabilities(7): DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER


def _as_anybody() -> None:
    """Root too shall be held to the modes of files, as other users are."""
    for capability in _MAY_IGNORE_MODES if os.geteuid() == 0 else ():
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability)


def _ran(folder: Path, *arguments: str, **changes: str) -> str:
    """The one line with which a command ends that owns nothing in `folder`."""
    command = [sys.executable, "-m", "jobs", *arguments]
    environ = environment_of(folder, **changes)
    ended = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, preexec_fn=_as_anybody
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    [*noted, told] = ended.stderr.splitlines()
    assert all("Redis is away" in line for line in noted)
    return told


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of another user, where there is one; in any case it cannot be written."""
    if os.geteuid() == 0:
        os.chown(tmp_path, NOBODY, NOBODY)
    tmp_path.chmod(0o555)
    return tmp_path


@pytest.mark.parametrize("command", ["migrate", "token", "digest --list", "up"])
def test_a_data_dir_of_another_owner_is_told_with_who_has_to_own_it(place: Path, command: str) -> None:
    told = _ran(place, *command.split(), PORT=str(free_port()))
    assert told.startswith("DATA_DIR: ")
    assert "permission denied" in told
    assert "chown -R" in told or "chmod -R" in told


@pytest.mark.sqlite
def test_a_database_that_may_only_be_read_is_told(place: Path) -> None:
    place.chmod(0o755)
    with opened(f"sqlite:///{place}/own.db") as db:
        migrate(db)
    (place / "own.db").chmod(0o444)
    for suffix in ("-wal", "-shm", ".lock"):
        place.joinpath(f"own.db{suffix}").unlink(missing_ok=True)
    if os.geteuid() == 0:
        os.chown(place / "own.db", NOBODY, NOBODY)
    place.chmod(0o555)
    told = _ran(place, "digest", "--list", DATABASE_URL=f"sqlite:///{place}/own.db")
    assert told.startswith("DATABASE_URL: ")
    assert "permission denied" in told


def test_a_workbook_that_cannot_be_written_is_told_before_anything_is_classified(place: Path) -> None:
    told = _ran(place, "run", "--input", __file__, "--skip-email", OUTPUT_DIR=str(place / "output"))
    assert told.startswith("OUTPUT_DIR: ")


@pytest.mark.parametrize("name", ["DATA_DIR", "OUTPUT_DIR"])
def test_a_file_where_a_folder_is_needed_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    config = settings.load({name: str(tmp_path / "file")})
    with pytest.raises(OSError, match="exists") as refused:
        (tmp_path / "file").mkdir(parents=True)
    assert files.refusal(refused.value, config) == (
        f"{name}: {tmp_path}/file: {tmp_path}/file is a file where a folder is needed; "
        "name a folder, or move the file away"
    )


def test_errors_that_are_none_of_a_file_keep_their_traceback() -> None:
    config = settings.load({})
    assert files.refusal(ConnectionRefusedError(111, "refused"), config) is None
    assert files.refusal(ValueError("x"), config) is None


def _wide(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if stat.S_IMODE(path.lstat().st_mode) & 0o077)


@pytest.fixture
def open_folder(config: Settings) -> Path:
    """A DATA_DIR as an earlier version left it."""
    folder = config.data_dir
    (folder / "backups").mkdir(parents=True)
    (folder / "digests").mkdir()
    for name in ("tickets.db", "tickets.db-wal", "backups/tickets-1.db", "digests/digest-1.xlsx", "api_token"):
        (folder / name).touch()
        (folder / name).chmod(0o644)
    folder.chmod(0o755)
    return folder


def test_what_others_could_read_is_closed(config: Settings, open_folder: Path) -> None:
    assert files.make_private(config) == []
    assert _wide(open_folder) == []
    assert stat.S_IMODE(open_folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((open_folder / "tickets.db").stat().st_mode) == 0o600


def test_a_folder_with_things_of_others_stays_open_and_so_do_they(config: Settings, open_folder: Path) -> None:
    (open_folder / "photos").mkdir()
    (open_folder / "photos").chmod(0o755)
    [warning] = files.make_private(config)
    assert "holds other things" in warning
    assert _wide(open_folder) == ["photos"]
    assert stat.S_IMODE(open_folder.stat().st_mode) == 0o755


@pytest.mark.sqlite
def test_what_a_command_writes_only_its_user_can_read(tmp_path: Path) -> None:
    program = "import os; os.umask(0o022); from jobs.__main__ import main; main(['migrate'])"
    command = [sys.executable, "-c", program]
    subprocess.run(command, cwd=tmp_path, env=environment_of(tmp_path), check=True, capture_output=True)
    assert _wide(tmp_path / "data") == []
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert (tmp_path / "data" / "tickets.db").exists()
