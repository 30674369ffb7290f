"""Your second factor: set up, confirmed by a code, with recovery codes, and turned off again."""

import pyotp
import segno
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from markupsafe import Markup

from receiver.actions import account
from receiver.db import second_factors
from receiver.db.models import Person
from receiver.lib.clock import now
from receiver.web import auth, second_factor_check
from receiver.web.dashboard.formats import span
from receiver.web.identity_check import identity_problem, is_recent
from receiver.web.state import context

blueprint = Blueprint("second_factor_pages", __name__, url_prefix="/account/second-factor")

_ISSUER = "Ticket Attribution"
_WRONG = "This code is wrong, or was used before. Wait for the next one, and see that the clock of your phone is right."


@blueprint.get("")
@auth.require_role(auth.VIEWER)
def second_factor_page(errors: dict[str, str] | None = None, codes: list[str] | None = None) -> ResponseReturnValue:
    """Whether you have one, or how to set it up; with what is wrong in a form, or recovery codes that are new."""
    person = _current_person()
    with context().db.read() as session:
        known: dict[str, object] = {
            "factor": second_factors.find(session, person.id),
            "left": second_factors.recovery_codes_left(session, person.id),
        }
        # Shown again until it is confirmed, so that a page that is loaded again does not make another.
        secret = second_factors.unconfirmed(session, person.id, context().factor_cipher, now())
    if secret:
        address = pyotp.TOTP(secret).provisioning_uri(name=person.email, issuer_name=_ISSUER)
        # Level L, which segno raises where there is room: the longest address in another script fits no other level.
        # Attributes alone, since our policy allows no inline styles; light on dark would not scan in the dark scheme.
        drawn = segno.make(address, error="l", micro=False).svg_inline(
            omitsize=True, border=4, dark="#000", light="#fff", svgclass=None, lineclass=None
        )
        known |= {"secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)), "address": address}
        known["qr"] = Markup(drawn)  # noqa: S704 - made of paths, and nothing that a person wrote is in it as text
    shown = render_template(
        "second_factor.html", person=person, errors=errors or {}, codes=codes,
        asks_password=person.password_hash is not None and not _came_just_now(),
        required=second_factor_check.is_required(person.role),
        minutes=second_factors.UNCONFIRMED_FOR.seconds // 60, **known,
    )  # fmt: skip
    return shown, 422 if errors else 200


@blueprint.post("")
@auth.require_role(auth.VIEWER)
def begin() -> ResponseReturnValue:
    """Make a secret, given the password, and show it until it is confirmed."""
    person = _current_person()
    if not _came_just_now() and (doubt := identity_problem(person)):
        return second_factor_page({"current": doubt})
    account.begin_second_factor(context(), person.id)
    return redirect(url_for("second_factor_pages.second_factor_page"))


def _came_just_now() -> bool:
    """Whether this person needs a factor and signed in just now, so that the password need not be asked for again."""
    # They may have come by a link because they forgot it, and could not go on if it were asked for.
    return auth.must_set_up() and is_recent()


@blueprint.post("/confirm")
@auth.require_role(auth.VIEWER)
def confirm() -> ResponseReturnValue:
    """Let the factor count, with a code of it, and show the recovery codes this once."""
    code = request.form.get("code", "")
    codes = account.confirm_second_factor(context(), auth.caller(), current_user.person_id, code)
    return second_factor_page(codes=codes) if codes else second_factor_page({"code": _WRONG})


@blueprint.post("/recovery-codes")
@auth.require_role(auth.VIEWER)
def renew_codes() -> ResponseReturnValue:
    """New recovery codes, shown this once, in the place of those before."""
    person = _current_person()
    if errors := _proof_errors(person, "codes-"):
        return second_factor_page(errors)
    return second_factor_page(codes=account.renew_recovery_codes(context(), auth.caller(), person.id))


@blueprint.post("/turn-off")
@auth.require_role(auth.VIEWER)
def turn_off() -> ResponseReturnValue:
    """Forget the factor, given the password and a code."""
    person = _current_person()
    if errors := _proof_errors(person, "off-"):
        return second_factor_page(errors)
    account.turn_off_second_factor(context(), auth.caller(), person.id)
    flash("Your second factor is turned off.")
    return redirect(url_for("second_factor_pages.second_factor_page"))


def _proof_errors(person: Person, prefix: str) -> dict[str, str]:
    """What is wrong with the password and the code of a form, whose fields begin with `prefix`."""
    with context().db.read() as session:
        if second_factors.find(session, person.id) is None:
            abort(409, "You have no second factor; set one up first.")
    if doubt := identity_problem(person):
        return {f"{prefix}current": doubt}
    answer = second_factor_check.check(person, request.form.get("code", ""))
    if answer.kind:
        return {}
    if answer.wait:
        return {f"{prefix}code": f"There were too many tries; wait {span(answer.wait.total_seconds() + 1)}."}
    return {f"{prefix}code": _WRONG}


def _current_person() -> Person:
    with context().db.read() as session:
        return session.get_one(Person, current_user.person_id)
