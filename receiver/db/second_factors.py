"""Second factors: codes that an authenticator app makes of a shared secret (TOTP, RFC 6238), and recovery codes."""

import base64
import hmac
import logging
import secrets
import unicodedata
from datetime import datetime, timedelta

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from receiver.db.models import RecoveryCode, SecondFactor
from receiver.db.sign_in import digest

RECOVERY_CODES = 10
UNCONFIRMED_FOR = timedelta(minutes=10)
_STEP_SECONDS = 30
_DRIFT = 1  # A clock may be one step off, either way: RFC 6238, section 5.2.

log = logging.getLogger(__name__)


def find(session: Session, person_id: int) -> SecondFactor | None:
    """The factor a person has set up and confirmed."""
    found = session.get(SecondFactor, person_id)
    return found if found and found.confirmed_at else None


def begin(session: Session, person_id: int, cipher: Fernet, now: datetime) -> None:
    """Make a new secret for a person who has no factor yet; it counts once a code of it was given."""
    session.execute(
        delete(SecondFactor).where(SecondFactor.person_id == person_id, SecondFactor.confirmed_at.is_(None))
    )
    kept = cipher.encrypt(pyotp.random_base32().encode()).decode()
    session.add(SecondFactor(person_id=person_id, secret=kept, created_at=now, last_step=0))


def unconfirmed(session: Session, person_id: int, cipher: Fernet, now: datetime) -> str | None:
    """The secret, in base32, of a factor that was begun within the last minutes and not confirmed."""
    found = session.get(SecondFactor, person_id)
    if found is None or found.confirmed_at or found.created_at <= now - UNCONFIRMED_FOR:
        return None
    return _secret(found, cipher)


def confirm(session: Session, person_id: int, code: str, cipher: Fernet, now: datetime) -> bool:
    """Let a begun factor count, where the code is one of it."""
    found = session.get(SecondFactor, person_id, with_for_update=True)
    if found is None or unconfirmed(session, person_id, cipher, now) is None:
        return False
    if not _takes(found, _plain(code), cipher, now):
        return False
    found.confirmed_at = now
    return True


def accept(session: Session, person_id: int, code: str, cipher: Fernet, now: datetime) -> str | None:
    """Spend a code, and say what it was: "code" or "recovery code"; None where it is wrong or was used before."""
    found = session.get(SecondFactor, person_id, with_for_update=True)
    if found is None or found.confirmed_at is None:
        return None
    plain = _plain(code)
    if _takes(found, plain, cipher, now):
        return "code"
    spent = session.execute(
        delete(RecoveryCode)
        .where(RecoveryCode.person_id == person_id, RecoveryCode.code_sha256 == digest(plain))
        .returning(RecoveryCode.code_sha256)
    )
    return "recovery code" if spent.first() else None


def _takes(factor: SecondFactor, plain: str, cipher: Fernet, now: datetime) -> bool:
    """Whether this is a code of about now, of a later step than the last one: whoever reads along cannot use it too."""
    secret = _secret(factor, cipher)
    if secret is None or len(plain) != 6 or not plain.isascii():
        return False
    totp, current = pyotp.TOTP(secret, interval=_STEP_SECONDS), int(now.timestamp()) // _STEP_SECONDS
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        if step > factor.last_step and hmac.compare_digest(totp.generate_otp(step), plain):
            factor.last_step = step
            return True
    return False


def _secret(factor: SecondFactor, cipher: Fernet) -> str | None:
    try:
        return cipher.decrypt(factor.secret.encode()).decode()
    except InvalidToken:
        log.error(
            "The second factor of person %d was kept under another session key, so that no code fits; "
            "a recovery code does, or an admin resets it",
            factor.person_id,
        )
        return None


def _plain(code: str) -> str:
    """A code as it is compared, whatever blanks, dashes and capitals it was typed with, and whatever digits."""
    signs = unicodedata.normalize("NFKC", code[:100])  # Keyboards for Japanese write full-width digits.
    return "".join(str(unicodedata.digit(sign, sign)) for sign in signs if sign.isalnum()).upper()


def new_recovery_codes(session: Session, person_id: int) -> list[str]:
    """Recovery codes in the place of those before, to be shown once: 80 random bits each, so a plain digest will do."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person_id))
    codes = [base64.b32encode(secrets.token_bytes(10)).decode() for _ in range(RECOVERY_CODES)]
    session.add_all(RecoveryCode(code_sha256=digest(code), person_id=person_id) for code in codes)
    return ["-".join(code[at : at + 4] for at in range(0, len(code), 4)).lower() for code in codes]


def recovery_codes_left(session: Session, person_id: int) -> int:
    """How many recovery codes a person has not used yet."""
    query = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.person_id == person_id)
    return session.scalar(query) or 0


def remove(session: Session, person_id: int) -> bool:
    """Forget a person's factor and recovery codes; says whether there was a factor."""
    session.execute(delete(RecoveryCode).where(RecoveryCode.person_id == person_id))
    gone = session.execute(
        delete(SecondFactor).where(SecondFactor.person_id == person_id).returning(SecondFactor.confirmed_at)
    ).first()
    return gone is not None and gone[0] is not None
