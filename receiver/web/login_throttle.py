"""How fast somebody may try to sign in.

Tries are counted by account and by address. A browser in which the person was signed in before is counted by itself, so
that nobody who tries the passwords of an account from elsewhere keeps its person out.
"""

import ipaddress
import secrets
from datetime import timedelta

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from receiver.db.models import Person
from receiver.db.people import plain
from receiver.db.sign_in_tries import Key

_KNOWN_SECONDS = 365 * 24 * 3600
_LONG, _SHORT = timedelta(minutes=15), timedelta(minutes=1)


def keys(email: str, person: Person | None) -> list[Key]:
    """What a try to sign in with this e-mail address is counted by; the first key is the person's own."""
    browser = _known_browser(person)
    if browser:
        return [Key(f"browser {browser}", 5, _LONG)]
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
        # One customer has a whole /64 of IPv6, and could use a new address for every try.
        network = str(address if address.version == 4 else ipaddress.ip_network((address, 64), strict=False))
    except ValueError:
        network = "unknown"
    # An office may share one address, so that limit is higher and shorter.
    return [Key(f"account {plain(email)}", 5, _LONG), Key(f"address {network}", 20, _SHORT)]


def factor_keys(person: Person) -> list[Key]:
    """What a try with a code is counted by: apart from passwords, because whoever gets this far knows the password."""
    browser = _known_browser(person)
    return [Key(f"factor browser {browser}" if browser else f"factor account {person.id}", 5, _LONG)]


def know(answer: Response, person: Person) -> Response:
    """Have the browser remember for a year that this person was signed in there."""
    config = current_app.config
    answer.set_cookie(
        config["KNOWN_COOKIE_NAME"],
        _signer().dumps([person.id, _known_browser(person) or secrets.token_urlsafe(16)]),
        max_age=_KNOWN_SECONDS,
        secure=config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )
    return answer


def _known_browser(person: Person | None) -> str | None:
    """The name of this browser, where it is one of the person's."""
    try:
        known_person, browser = _signer().loads(
            request.cookies.get(current_app.config["KNOWN_COOKIE_NAME"], ""), max_age=_KNOWN_SECONDS
        )
    except (BadSignature, ValueError):
        return None
    return str(browser) if person and known_person == person.id else None


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="known browser")
