"""Signing in by an OpenID Connect provider, where OIDC_ISSUER names one: the code flow with state, nonce and PKCE."""

from typing import Any, cast

from authlib.integrations.flask_client import FlaskOAuth2App, OAuth, OAuthError
from authlib.integrations.requests_client import OAuth2Session
from flask import Blueprint, Flask, current_app, request, session, url_for
from flask.typing import ResponseReturnValue
from joserfc.errors import JoseError
from marshmallow import ValidationError
from marshmallow.validate import Email, Length
from requests import RequestException

from receiver.db import audit, people
from receiver.db.models import Person
from receiver.db.people import PersonError
from receiver.lib import egress
from receiver.lib.clock import now
from receiver.lib.roles import ROLES
from receiver.lib.settings import Settings
from receiver.web import auth
from receiver.web.dashboard.sign_in import render_sign_in
from receiver.web.state import context, web_state

blueprint = Blueprint("oidc_pages", __name__, url_prefix="/sign-in/oidc")

# Signatures by a public key; not "none", and not HS256, which the client secret would make.
_SIGNED_BY = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_SECONDS = 10.0
_MAX_ANSWER_BYTES = 1_000_000
_TRY_AGAIN = "Signing in there did not work, or took too long. Try it again, or use your password."


class _Session(OAuth2Session, egress.Session):  # type: ignore[misc]
    """Authlib's requests, kept to the addresses that outgoing requests may reach."""

    def __init__(self, *args: Any, rule: egress.Policy, **options: Any) -> None:
        OAuth2Session.__init__(self, *args, **options)
        egress.Session.__init__(self, rule, _SECONDS, _MAX_ANSWER_BYTES)


class _Provider(FlaskOAuth2App):  # type: ignore[misc]
    client_cls = _Session

    def load_server_metadata(self) -> dict[str, Any]:
        """The discovery document, checked and narrowed. Raises _RefusedError."""
        metadata: dict[str, Any] = super().load_server_metadata()
        announced, wanted = str(metadata.get("issuer")), str(context().settings.oidc_issuer).rstrip("/")
        if announced not in (wanted, f"{wanted}/"):
            current_app.logger.warning("OIDC_ISSUER is %s, but the provider calls itself %s", wanted, announced)
            raise _RefusedError(
                "The provider calls itself otherwise than OIDC_ISSUER does; an admin has to set OIDC_ISSUER to the "
                "issuer of its discovery document, with the id of one tenant."
            )
        # Authlib accepts every algorithm that the provider announces, "none" included.
        return metadata | {"id_token_signing_alg_values_supported": _SIGNED_BY}


class _Registry(OAuth):  # type: ignore[misc]
    oauth2_client_cls = _Provider


class _RefusedError(Exception):
    """A person of the provider may not come in; the text says why, and what to do."""


def client(app: Flask, config: Settings) -> object | None:
    """The client of the provider that the settings name, if they name one."""
    if config.oidc_issuer is None:
        return None
    issuer = config.oidc_issuer.rstrip("/")
    found: object = _Registry(app).register(
        "oidc",
        client_id=config.oidc_client_id,
        client_secret=config.oidc_client_secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid email profile",
            "code_challenge_method": "S256",
            "rule": egress.Policy(config.outgoing_allow, own=issuer),
        },
    )
    return found


def _provider() -> _Provider:
    return cast(_Provider, web_state().oidc)


@blueprint.get("")
def to_provider() -> ResponseReturnValue:
    """Send the browser to the provider."""
    # Forget sign-ins that were begun and never came back: a cookie has little room.
    for name in [name for name in session if name.startswith("_state_")]:
        del session[name]
    back = context().settings.origin + url_for("oidc_pages.from_provider")
    try:
        return _provider().authorize_redirect(back)  # type: ignore[no-any-return]
    except (OAuthError, RequestException, RuntimeError, ValueError) as error:
        return _refuse_after(error)
    except _RefusedError as error:
        return render_sign_in(str(error), 403)


@blueprint.get("/callback")
def from_provider() -> ResponseReturnValue:
    """Let in whom the provider vouches for."""
    config: Settings = context().settings
    provider = _provider()
    if "error" in request.args:
        current_app.logger.warning("The OIDC provider refused a sign-in: %s", request.args["error"][:60])
        # Anybody can write a link with a text of their own. It is shown only as the answer to what this browser asked.
        if f"_state_oidc_{request.args.get('state', '')}" not in session:
            return render_sign_in(_TRY_AGAIN, 403)
        reason = " ".join((request.args.get("error_description") or request.args["error"]).split())[:300]
        return render_sign_in(f"Your provider did not let you in. It says: {people.visible(reason)}", 403)
    try:
        # Exactly the issuer of the discovery document, which load_server_metadata has compared with the setting.
        issuer = str(provider.load_server_metadata()["issuer"])
        expected = {
            "iss": {"essential": True, "value": issuer},
            "aud": {"essential": True, "value": config.oidc_client_id},
        }
        token = provider.authorize_access_token(claims_options=expected)
        person = _find_or_add_person(token.get("userinfo") or {}, issuer, config)
    except (OAuthError, JoseError, RequestException, RuntimeError, ValueError, KeyError, TypeError) as error:
        return _refuse_after(error)
    except (_RefusedError, PersonError) as error:
        return render_sign_in(str(error), 403)
    return auth.log_in(person, auth.OIDC)


def _refuse_after(error: Exception) -> ResponseReturnValue:
    # Only the type: the text may hold a code or a token of the provider's answer.
    current_app.logger.warning("Signing in by OIDC failed: %s", type(error).__name__)
    return render_sign_in(_TRY_AGAIN, 403)


def _find_or_add_person(claims: dict[str, Any], issuer: str, config: Settings) -> Person:
    """The person of these claims, with the role of their groups; added where the settings allow that.

    Raises _RefusedError and PersonError.
    """
    # A provider never gives a `sub` to somebody else, but it may give away a mailbox. So an address finds an account
    # only as long as that account has no `sub` of this provider.
    db, subject, moment = context().db, str(claims["sub"]), now()
    with db.read() as reading:
        person: Person | None = people.by_identity(reading, issuer, subject)
        email = person.email if person else _verified_address(claims, config)
        person = person or people.by_email(reading, email)
    if person and not person.active:
        raise _RefusedError("Your account is disabled; an admin can enable it on People.")
    if person and person.oidc_issuer == issuer and person.oidc_subject != subject:
        raise _RefusedError(
            f"The account of {email} belongs to somebody else at your provider. If that is you, an admin can forget "
            "who it was on your page under People."
        )
    role = _role_of_groups(claims, config) if config.oidc_group_roles else None
    if person is None and not (role or config.oidc_default_role):
        raise _RefusedError(f"{email} has no account here; ask an admin to invite this address.")
    with db.write() as writing:
        if person is None:
            name = people.visible(str(claims.get("name") or email))[:100].strip() or email
            known = people.add(writing, email, name, str(role or config.oidc_default_role), moment)
            details = {"by": "OIDC", "role": known.role}
            audit.note(writing, email, "create account", f"person {known.id}", moment, details)
        else:
            known = writing.get_one(Person, person.id)
            before = known.role
            try:
                if role and role != before:
                    people.change_role(writing, known, role)
                    details = {"from": before, "to": role, "by": "OIDC_GROUP_ROLES"}
                    audit.note(writing, email, "change role", f"person {known.id}", moment, details)
            except PersonError:  # Without an admin, nobody could undo a mistake in OIDC_GROUP_ROLES.
                current_app.logger.warning(
                    "Person %d stays admin, the last one, whatever OIDC_GROUP_ROLES says", known.id
                )
        known.oidc_issuer, known.oidc_subject = issuer, subject
        writing.flush()
    return known


def _verified_address(claims: dict[str, Any], config: Settings) -> str:
    """The verified e-mail address of a person who comes for the first time. Raises _RefusedError."""
    found = claims.get("email")
    if not found and config.oidc_trust_email:
        found = claims.get("preferred_username") or claims.get("upn")
    email = people.plain(str(found or ""))
    verified = claims.get("email_verified")
    if verified is None:
        # Entra ID never sends it, but may send whether the owner of the domain is verified.
        verified = claims.get("xms_edov")
    is_verified = config.oidc_trust_email if verified is None else str(verified).strip().lower() in ("true", "1")
    if not email or not is_verified:
        raise _RefusedError(
            "Your provider has not verified your e-mail address, so nobody knows whose account it is. Where the "
            "provider is your organisation's own, an admin can set OIDC_TRUST_EMAIL=true."
        )
    try:
        Email()(Length(max=254)(email))
    except ValidationError:
        raise _RefusedError("What your provider gives as your e-mail address is none.") from None
    return email


def _role_of_groups(claims: dict[str, Any], config: Settings) -> str:
    """The highest role that OIDC_GROUP_ROLES gives to one of the person's groups. Raises _RefusedError."""
    # Okta and Keycloak send groups, Entra ID also roles of an application, Amazon Cognito a name of its own.
    groups: set[str] = set()
    for claim in ("groups", "roles", "cognito:groups"):
        names = claims.get(claim) or []
        groups |= {str(group) for group in (names if isinstance(names, list) else [names])}
    roles = [config.oidc_group_roles[group] for group in groups if group in config.oidc_group_roles]
    if roles:
        return max(roles, key=ROLES.index)
    # Entra ID says only that there are groups when a person is in too many.
    if claims.get("hasgroups") or "groups" in (claims.get("_claim_names") or {}):
        raise _RefusedError(
            "You are in more groups than your provider sends. It has to send only those that are assigned to this "
            "application, or application roles."
        )
    if config.oidc_default_role:
        return config.oidc_default_role
    raise _RefusedError("None of your groups at your provider may come in; an admin can add one to OIDC_GROUP_ROLES.")
