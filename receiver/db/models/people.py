"""Who may come in, by what, and what they changed."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from receiver.db.models.base import Base, Id


class Person(Base):
    """Somebody who may sign in; one without a password was invited and has not answered yet, or comes by OIDC."""

    __tablename__ = "people"
    __table_args__ = (Index("ix_people_oidc_issuer_oidc_subject", "oidc_issuer", "oidc_subject", unique=True),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str]
    password_hash: Mapped[str | None]
    active: Mapped[bool]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]
    oidc_issuer: Mapped[str | None]
    oidc_subject: Mapped[str | None]


class SignInLink(Base):
    """A one-time link, kept as the digest of its token. Without a person, it makes the first admin's account.

    It lets its person in at once, or, where it `sets_password`, asks for a new password first.
    """

    __tablename__ = "sign_in_links"
    __table_args__ = (Index("ix_sign_in_links_person_id", "person_id"),)

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    sets_password: Mapped[bool]


class BrowserSession(Base):
    """A browser in which a person is signed in, kept as the digest of what its cookie holds."""

    __tablename__ = "browser_sessions"
    __table_args__ = (Index("ix_browser_sessions_person_id", "person_id"),)

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class ApiToken(Base):
    """A person's bearer token, kept as its digest; it may do what its role may, and never more than its person."""

    __tablename__ = "api_tokens"
    __table_args__ = (Index("ix_api_tokens_person_id", "person_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    name: Mapped[str]
    role: Mapped[str]
    read_only: Mapped[bool]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class SignInTry(Base):
    """How often somebody tried to sign in of late, by account, by address or by browser, and until when they wait."""

    __tablename__ = "sign_in_tries"
    __table_args__ = (Index("ix_sign_in_tries_last_at", "last_at"),)

    key_sha256: Mapped[str] = mapped_column(primary_key=True)
    tries: Mapped[int]
    last_at: Mapped[datetime]
    until: Mapped[datetime]


class SecondFactor(Base):
    """What a person's authenticator app makes its codes of; it counts from `confirmed_at` on.

    `secret` is encrypted. `last_step` is the time step, in half minutes since 1970, of the last code that was used.
    """

    __tablename__ = "second_factors"

    person_id: Mapped[int] = mapped_column(Id, ForeignKey("people.id"), primary_key=True, autoincrement=False)
    secret: Mapped[str]
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int] = mapped_column(BigInteger)


class RecoveryCode(Base):
    """A code that takes the place of the app's once, kept as its digest; it goes when it is used."""

    __tablename__ = "recovery_codes"
    __table_args__ = (Index("ix_recovery_codes_person_id", "person_id"),)

    code_sha256: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))


class AuditEntry(Base):
    """What somebody changed; `hash` is over this entry and the hash of the one before, so that no line can be edited.

    `number` counts without gaps, and the tally `audit` holds the last, so that none can be cut off either.
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_subject", "subject"),
        Index("ix_audit_who", "who"),
        Index("ix_audit_action", "action"),
        Index("ix_audit_action_who", "action", "who"),
    )

    number: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    who: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]
    hash: Mapped[str]
