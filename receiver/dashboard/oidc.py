"""Signing in by an OpenID Connect provider, where OIDC_ISSUER names one: the code flow with state, nonce and PKCE."""

from typing import Any

from authlib.integrations.flask_client import FlaskOAuth2App, OAuth, OAuthError
from authlib.integrations.requests_client import OAuth2Session
from flask import Blueprint, Flask, current_app, session, url_for
from flask.typing import ResponseReturnValue
from joserfc.errors import JoseError
from marshmallow import ValidationError
from marshmallow.validate import Email, Length
from requests import RequestException

from receiver import auth, guarded
from receiver.clock import now
from receiver.dashboard.sign_in import refuse
from receiver.record import audit, people
from receiver.record.models import Person
from receiver.record.people import PersonError
from receiver.settings import Settings

blueprint = Blueprint("oidc_pages", __name__, url_prefix="/sign-in/oidc")

_SIGNED_BY = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_SECONDS = 10.0
_MAX_ANSWER = 1_000_000


class _Session(OAuth2Session, guarded.Session):  # type: ignore[misc]
    """Authlib's requests, kept to the addresses that outgoing requests may reach."""

    def __init__(self, *args: Any, rule: guarded.Rule, **options: Any) -> None:
        OAuth2Session.__init__(self, *args, **options)
        guarded.Session.__init__(self, rule, _SECONDS, _MAX_ANSWER)


class _Provider(FlaskOAuth2App):  # type: ignore[misc]
    client_cls = _Session

    def load_server_metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = super().load_server_metadata()
        # Authlib believes what is announced, "none" included; a signature is a public key's here, whatever is said.
        return metadata | {"id_token_signing_alg_values_supported": _SIGNED_BY}


class _Registry(OAuth):  # type: ignore[misc]
    oauth2_client_cls = _Provider


class _RefusedError(Exception):
    """The provider's person may not come in; the text says why, and what to do."""


def init_app(app: Flask) -> None:
    """Open the way by the provider, where one is set."""
    config: Settings = app.extensions["settings"]
    if config.oidc_issuer is None:
        return
    issuer = config.oidc_issuer.rstrip("/")
    app.extensions["oidc"] = _Registry(app).register(
        "oidc",
        client_id=config.oidc_client_id,
        client_secret=config.oidc_client_secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={
            "scope": "openid email profile",
            "code_challenge_method": "S256",
            "rule": guarded.Rule(config.outgoing_allow, own=issuer),
        },
    )
    app.register_blueprint(blueprint)


@blueprint.get("")
def to_provider() -> ResponseReturnValue:
    """Send the browser to the provider."""
    for name in [name for name in session if name.startswith("_state_")]:
        del session[name]  # What was begun before and never came back; a cookie has little room.
    back = current_app.extensions["settings"].origin + url_for("oidc_pages.from_provider")
    try:
        return current_app.extensions["oidc"].authorize_redirect(back)  # type: ignore[no-any-return]
    except (OAuthError, RequestException, RuntimeError, ValueError) as error:
        return _failed(error)


@blueprint.get("/callback")
def from_provider() -> ResponseReturnValue:
    """Let in whom the provider vouches for."""
    config: Settings = current_app.extensions["settings"]
    issuer = str(config.oidc_issuer).rstrip("/")
    expected = {
        "iss": {"essential": True, "values": [issuer, f"{issuer}/"]},
        "aud": {"essential": True, "value": config.oidc_client_id},
    }
    try:
        token = current_app.extensions["oidc"].authorize_access_token(claims_options=expected)
        person = _person(token.get("userinfo") or {}, config)
    except (OAuthError, JoseError, RequestException, RuntimeError, ValueError, KeyError, TypeError) as error:
        return _failed(error)
    except (_RefusedError, PersonError) as error:
        return refuse(str(error), 403)
    return auth.admit(person, "OIDC")


def _failed(error: Exception) -> ResponseReturnValue:
    current_app.logger.warning("Signing in by OIDC failed: %s", type(error).__name__)
    return refuse("Signing in there did not work, or took too long. Try it again, or use your password.", 403)


def _person(claims: dict[str, Any], config: Settings) -> Person:
    """Whose account it is, made where OIDC_DEFAULT_ROLE says as what. Raises _RefusedError."""
    email = people.plain(str(claims.get("email") or ""))
    if not email or claims.get("email_verified") is not True:
        raise _RefusedError("Your provider has not verified your e-mail address, so nobody knows whose account it is.")
    record = current_app.extensions["record"]
    with record.read() as reading:
        person: Person | None = people.by_email(reading, email)
    if person and not person.active:
        raise _RefusedError("Your account is disabled; an admin can enable it on People.")
    if person is None and config.oidc_default_role is None:
        raise _RefusedError(f"{email} has no account here; ask an admin to invite this address.")
    return person or _made(email, str(claims.get("name") or email), str(config.oidc_default_role))


def _made(email: str, name: str, role: str) -> Person:
    try:
        Email()(Length(max=254)(email))
    except ValidationError:
        raise _RefusedError("What your provider gives as your e-mail address is none.") from None
    moment = now()
    with current_app.extensions["record"].write() as writing:
        person = people.add(writing, email, people.visible(name)[:100].strip() or email, role, moment)
        audit.note(writing, email, "create account", f"person {person.id}", moment, {"by": "OIDC", "role": role})
    return person
