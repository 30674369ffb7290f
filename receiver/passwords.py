"""Passwords: what a good one is, and argon2id, which makes each guess dear."""

import hmac
import threading
import unicodedata
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 200
_AT_ONCE = 2  # Each takes 64 MiB for some 50 ms.


def problem(password: str, email: str) -> str | None:
    """What is wrong with a new password; only its length counts, and that it is not the address."""
    if not SHORTEST <= len(password) <= LONGEST:
        return f"Between {SHORTEST} and {LONGEST} characters; a few words make a good one."
    if hmac.compare_digest(*(text.strip().lower().encode() for text in (password, email))):
        return "Not the e-mail address, which others know."
    return None


class Passwords:
    """Hashes passwords and checks them, a few at once at most."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turn = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """What is kept of a password."""
        with self._turn:
            return self._hasher.hash(_plain(password))

    def fits(self, password: str, kept: str | None) -> bool:
        """Whether the password is the one of `kept`; it takes as long where there is none."""
        with self._turn:
            try:
                good = self._hasher.verify(kept or self._nobody, _plain(password[: LONGEST + 1]))
            except (VerificationError, InvalidHashError):
                return False
        return good and kept is not None

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(kept)

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash("the password of nobody")


def _plain(password: str) -> str:
    """One spelling for what keyboards send in several (NIST SP 800-63B, section 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
