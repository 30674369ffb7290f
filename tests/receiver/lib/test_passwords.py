"""Which new passwords are refused: what everybody tries first, and what others know of a person."""

import pytest

from receiver.lib import passwords


@pytest.mark.parametrize(
    "common",
    [
        "password1234", "Password123!", "P@ssw0rd1234", "passwordpassword", "qwertyuiop12", "123456789012",
        "111111111111", "iloveyou1234", "welcome12345", "changeme1234", "letmein12345", "1q2w3e4r5t6y", "qazwsxedcrfv",
        "abcdefghijkl", "adminadmin123", "Summer2026!!", "Ticket2026!!!", "dragonmonkey12",
    ],
)  # fmt: skip
def test_what_everybody_tries_first_is_refused(common: str) -> None:
    assert "easy to guess" in (passwords.problem(common, "lin@example.com") or "")


@pytest.mark.parametrize(
    "own",
    ["grace@example.com", "GRACE@EXAMPLE.COM!", "xx-hopper-yy-zz-9", "g.hopper and a horse", "Grace, of the Navy"],
)
def test_what_others_know_of_a_person_is_refused(own: str) -> None:
    email = "grace@example.com" if "GRACE" in own.upper() else "g.hopper@example.com"
    assert "your name or e-mail" in (passwords.problem(own, email, "Grace Hopper") or "")


@pytest.mark.parametrize(
    "good",
    [
        "correct horse battery",
        "kT9#vLq2Xz1!",
        "ein paar gute Wörter",
        "東京の朝は静かに始まる川辺",
        "w" + "a long password of words" * 8,
    ],
)
def test_words_and_what_a_password_manager_makes_are_taken(good: str) -> None:
    assert passwords.problem(good, "lin@example.com", "Lin") is None
