"""The secrets that are made on the first start and kept."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from receiver.lib import secret_files, settings
from receiver.lib.settings import Settings, SettingsError
from receiver.web.app import create_app
from tests.factories import signed, ticket_json

PROCESSES, ROUNDS = 8, 5
KEPT: dict[str, Callable[[Settings], object]] = {
    "webhook_secret": secret_files.webhook_secrets,
    "api_token": secret_files.api_token,
    "session_key": secret_files.session_key,
}


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _in(folder: Path, **environ: str) -> Settings:
    return settings.load({"DATA_DIR": str(folder)} | environ)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_their_owner_can_read_them(tmp_path: Path, mask: int) -> None:
    config = _in(tmp_path / "not" / "there" / "yet")
    with _umask(mask):
        for kept in KEPT.values():
            kept(config)
    modes = {path.name: path.stat().st_mode & 0o777 for path in config.data_dir.iterdir()}
    assert modes == dict.fromkeys(KEPT, 0o600)


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_each_is_made_once_and_is_nobody_elses(tmp_path: Path, kept: Callable[[Settings], object]) -> None:
    first = kept(_in(tmp_path / "a"))
    assert kept(_in(tmp_path / "a")) == first
    assert kept(_in(tmp_path / "b")) != first


def test_a_secret_that_is_set_is_used_and_nothing_is_kept(tmp_path: Path) -> None:
    given = secret_files.new_webhook_secret()
    config = _in(tmp_path, WEBHOOK_SECRET=given, API_TOKEN="sixteen-letters-or-more")
    assert secret_files.webhook_secrets(config) == (given,)
    assert secret_files.api_token(config) == "sixteen-letters-or-more"
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_is_a_secret_by_the_reference(tmp_path: Path) -> None:
    (made,) = secret_files.webhook_secrets(_in(tmp_path))
    assert made.startswith("whsec_")
    assert len(Webhook(made)._whsecret) == 32


def _race(config: Settings, together: Barrier, answers: "SimpleQueue[tuple[object, ...]]") -> None:
    together.wait()
    answers.put(tuple(kept(config) for kept in KEPT.values()))


def test_processes_that_start_together_have_the_same_secrets(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for number in range(ROUNDS):
        config, together = _in(tmp_path / str(number)), context.Barrier(PROCESSES)
        answers: SimpleQueue[tuple[object, ...]] = context.SimpleQueue()
        starting = [context.Process(target=_race, args=(config, together, answers)) for _ in range(PROCESSES)]
        for process in starting:
            process.start()
        found = {answers.get() for _ in starting}
        for process in starting:
            process.join()
        assert found == {tuple(kept(config) for kept in KEPT.values())}
        assert {path.name for path in config.data_dir.iterdir()} == set(KEPT)


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_file_lets_nobody_in(config: Settings, name: str, text: str) -> None:
    config.data_dir.mkdir(parents=True)
    (config.data_dir / name).write_text(text)
    with pytest.raises(SettingsError, match=name):
        create_app(config)


def test_a_kept_secret_that_cannot_sign_is_told_at_the_start_and_not_repeated(config: Settings) -> None:
    config.data_dir.mkdir(parents=True)
    (config.data_dir / "webhook_secret").write_text("whsec_hunter2")
    with pytest.raises(SettingsError) as caught:
        create_app(config)
    assert "webhook_secret" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.usefixtures("db")
def test_a_secret_put_there_by_hand_is_used(config: Settings) -> None:
    by_hand = secret_files.new_webhook_secret()
    (config.data_dir / "webhook_secret").write_text(f"{by_hand}\n")
    client = create_app(replace(config)).test_client()
    assert client.post("/webhooks/standard", **signed(by_hand, ticket_json())).status_code == 200


def test_secrets_on_several_lines_end_at_their_times_and_a_mistake_is_told(config: Settings) -> None:
    path = config.data_dir / "webhook_secret"
    new, old = secret_files.new_webhook_secret(), secret_files.new_webhook_secret()
    secret_files.webhook_secrets(config)
    path.write_text(f"{new}\n{old} until 2999-01-01T00:00:00Z\n")
    assert secret_files.webhook_secrets(config) == (new, old)
    kept = secret_files.standard(config)
    path.write_text(f"{new}\n{old} until 2001-01-01\n")
    assert secret_files.webhook_secrets(config) == (new,)
    path.write_text(f"{new}\n{old} until soon\n")
    with pytest.raises(SettingsError, match="until") as caught:
        secret_files.webhook_secrets(config)
    assert old not in str(caught.value)
    # What runs goes on with what it knew.
    assert [secret.value for secret in kept] == [new, old]
    path.unlink()
    assert kept[0].value == new
