"""Access tokens for the mail server (OAuth 2.0), where its provider takes no passwords any more.

With SMTP_OAUTH_REFRESH_TOKEN a person has allowed it once (RFC 6749, section 6; how Gmail does it), without it the
program has a mailbox of its own by its client credentials (section 4.4; Microsoft 365 with SMTP.SendAsApp).
https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
"""

import time
from typing import Any

import requests

from jobs.digests.mail.errors import MailError
from receiver.lib import egress
from receiver.lib.settings import Settings

_EARLY_SECONDS = 60
_SECONDS = 30
# RFC 6749, section 5.2: what asking again cannot mend.
_FINAL = ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
          "invalid_scope")  # fmt: skip

_kept: dict[tuple[str | None, ...], tuple[str, float]] = {}


def access_token(config: Settings) -> tuple[str, bool]:
    """A token that is good for a minute at least, and whether it was just made. Raises MailError."""
    token, until = _kept.get(_key(config), ("", 0.0))
    if time.monotonic() < until:
        return token, False
    answer = _asked(config)
    token = str(answer["access_token"])
    try:
        seconds = float(answer.get("expires_in", 0))
    except (TypeError, ValueError):
        seconds = 0
    _kept[_key(config)] = token, time.monotonic() + seconds - _EARLY_SECONDS
    return token, True


def forget(config: Settings) -> None:
    """Have the next token asked for anew."""
    _kept.pop(_key(config), None)


def _key(config: Settings) -> tuple[str | None, ...]:
    return (
        config.smtp_oauth_token_url,
        config.smtp_oauth_client_id,
        config.smtp_oauth_client_secret,
        config.smtp_oauth_refresh_token,
        config.smtp_oauth_scope,
    )


def _asked(config: Settings) -> dict[str, Any]:
    """The provider's answer, with an access token in it."""
    url, refresh = str(config.smtp_oauth_token_url), config.smtp_oauth_refresh_token
    form = {
        "grant_type": "refresh_token" if refresh else "client_credentials",
        "client_id": config.smtp_oauth_client_id,
        "client_secret": config.smtp_oauth_client_secret,
        "refresh_token": refresh,
        "scope": config.smtp_oauth_scope,
    }
    rule = egress.Policy(config.outgoing_allow, url)
    try:
        with egress.Session(rule, _SECONDS) as session:
            answer = session.post(url, data={name: value for name, value in form.items() if value})
            found = answer.json()
    except requests.JSONDecodeError:
        found = None
    except requests.RequestException as error:
        text = f"no token for the mail server, SMTP_OAUTH_TOKEN_URL cannot be asked: {error}"
        raise MailError(text, "oauth_unreachable") from None
    if not isinstance(found, dict):
        found = {}
    if answer.ok and isinstance(found.get("access_token"), str) and found["access_token"].isascii():
        return found
    code = str(found.get("error", ""))[:50]
    words = " ".join(str(found.get("error_description", "")).split())[:200]
    told = ": ".join(part for part in (f"{answer.status_code} {code}".strip(), words) if part)
    for secret in (config.smtp_oauth_client_secret, refresh):
        told = told.replace(secret, "***") if secret else told
    text = f"the provider gives no token for the mail server ({told}); check the settings SMTP_OAUTH_..."
    raise MailError(text, "oauth", permanent=code in _FINAL)
