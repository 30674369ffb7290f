"""Passwords: the rules for a new one, and argon2id, which makes each guess expensive."""

import re
import threading
import unicodedata
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 200
_READ = 72  # What is looked at to tell how hard a password is to guess, which takes more than linear time.
_GUESSES = 10.0  # As a power of ten: where zxcvbn calls a password "very unguessable", its best of five marks.
_SHORTEST_NAME = 4
_JUDGING = threading.Lock()  # zxcvbn keeps the words of one judgement where every thread sees them.
_AT_ONCE = 2  # Each takes 64 MiB for some 50 ms; more at once would let whoever logs in use up the memory.


def problem(password: str, email: str, name: str = "") -> str | None:
    """What is wrong with a new password: its length, parts that others know of its person, or easy to guess.

    No kinds of characters are asked for (NIST SP 800-63B, section 3.1.1.2).
    """
    from zxcvbn import zxcvbn  # type: ignore[import-untyped]  # It keeps 14 MB of the commonest words and passwords, for the few who set one.

    if not SHORTEST <= len(password) <= LONGEST:
        return f"Between {SHORTEST} and {LONGEST} characters; a few words make a good one."
    address = email.strip().casefold()
    own = {address, address.partition("@")[0], *re.findall(r"\w+", name.casefold())}
    text = password.casefold()
    if any(word in text for word in own if len(word) >= _SHORTEST_NAME):
        return "Not with your name or e-mail address in it, which others know."
    # zxcvbn takes a word that it is given for one of the first that somebody would guess.
    known = [*own, *re.findall(r"\w+", address), "ticket", "tickets", "attribution"]
    with _JUDGING:
        guesses = zxcvbn(_normalized(password)[:_READ], user_inputs=known)["guesses_log10"]
    if guesses < _GUESSES:
        return "Too easy to guess: it is made of common passwords, patterns or dates. A few unrelated words are good."
    return None


class Passwords:
    """Hashes passwords and checks them, a few at once at most."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """The hash to keep of a password."""
        with self._turn:
            return self._hasher.hash(_normalized(password))

    def fits(self, password: str, kept: str | None) -> bool:
        """Whether the password is the one of `kept`; it takes as long where there is none.

        Otherwise the time of an answer would tell which addresses have an account.
        """
        with self._turn:
            try:
                # Cut, so that nobody has megabytes hashed; with one character too many it is wrong all the same.
                good = self._hasher.verify(kept or self._hash_of_nobody, _normalized(password[: LONGEST + 1]))
            except (VerificationError, InvalidHashError):
                return False
        return good and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _hash_of_nobody(self) -> str:
        return self._hasher.hash("the password of nobody")


def _normalized(password: str) -> str:
    """One spelling for what keyboards send in several (NIST SP 800-63B, section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
