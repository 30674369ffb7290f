"""One request to a helpdesk's API or to an outgoing webhook, and what went wrong with it."""

import base64
import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests

from receiver.intake.sources import Source
from receiver.intake.sources.api import names_in
from receiver.intake.sources.bodies import parse_json
from receiver.intake.sources.expressions import Expression
from receiver.lib import egress
from receiver.lib.retry_after import retry_after
from receiver.lib.retry_policy import HELPDESK, Cause, Verdict
from receiver.lib.settings import Settings

LONGEST_CALL = 60.0
_NO_SUCH_TICKET = "the helpdesk's API has no ticket of this name"
_LONGEST_PAUSE = 3600.0
_CAUSES = {
    401: Cause.KEY,
    403: Cause.KEY,
    410: Cause.GONE,
    429: Cause.BUSY,
    503: Cause.BUSY,
    # Another attempt at the same request would be answered the same.
    **dict.fromkeys((400, 404, 405, 411, 413, 414, 415, 422), Cause.REQUEST),
}
_ADVICE = {
    400: "; it does not take what write_back says, so compare that with its fields",
    404: "; it has no such ticket, or the url in api is another's",
    422: "; it does not take what write_back says, so compare that with its fields",
}


class CallError(Exception):
    """A helpdesk was not asked or told; the text says why, and repeats nothing of a ticket or a credential.

    What is done about it is the policy of its `cause`. `pause` is for how many seconds the whole source is left alone:
    as long as it asks for, within an hour, or else as the policy says.
    """

    def __init__(self, message: str, cause: Cause = Cause.OTHER, *, retry_after: float = 0) -> None:
        super().__init__(message)
        self.cause, self.policy = cause, HELPDESK[cause]
        self.pause = min(max(retry_after, 0), _LONGEST_PAUSE) or self.policy.pause

    @property
    def permanent(self) -> bool:
        """Whether another attempt is no use."""
        return self.policy.verdict is Verdict.PERMANENT


class HopelessError(CallError):
    """What no request could mend, such as a configuration that does not fit the helpdesk."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Cause.SETUP)


def search(expression: str, value: Any) -> Any:
    """What a JMESPath expression finds in an answer; None also where the answer has another shape than it needs."""
    return _compiled(expression)(value)


@cache
def _compiled(expression: str) -> Expression:
    return Expression(expression)


class Api:
    """The API of one source's helpdesk. Raises CallError, also where the source has none."""

    def __init__(self, config: Settings, source: Source) -> None:
        if source.api is None:
            raise HopelessError(f"the source {source.name} has no api in SOURCES_FILE, so its helpdesk cannot be asked")
        self.source = source
        self.helpdesk: Mapping[str, Any] = source.profile.api or {}
        self.parameters: dict[str, Any] = self.helpdesk.get("defaults", {}) | dict(source.api.get("parameters", {}))
        self._url = source.api["url"].rstrip("/")
        # Some APIs take a token alone in another form than a user with a token.
        has_other_form = not source.api.get("user") and "auth_without_user" in self.helpdesk
        templates: Mapping[str, str] = self.helpdesk.get("auth_without_user" if has_other_form else "auth", {})
        given = {"user": source.api.get("user", ""), "token": source.api.get("token", "")}
        headers = {name: _credential(template.format(**given)) for name, template in templates.items()}
        self._headers = headers | dict(source.api.get("headers", {}))
        self._rule = egress.Policy(config.outgoing_allow, self._url)
        self._seconds = min(config.request_timeout, LONGEST_CALL)

    def names(self, external_id: str) -> dict[str, Any]:
        """What paths and bodies may name: the source's parameters, and how the API calls this ticket of ours."""
        names = self.parameters | {"id": external_id}
        if "name" in self.helpdesk:
            found = re.fullmatch(self.helpdesk["name"], external_id)
            if not found:
                raise HopelessError(_NO_SUCH_TICKET)
            names |= {name: value for name, value in found.groupdict().items() if value}
        if "find" in self.helpdesk:
            find = self.helpdesk["find"]
            answer = self.call(find["request"], names)
            # A search may be cleverer than we are, and what it finds would be written to.
            if names["id"] not in (search(find["named"], answer) or ()):
                raise HopelessError(_NO_SUCH_TICKET)
            names |= {name: search(path, answer) for name, path in find["fields"].items()}
        return names

    def address(self, path: str) -> str:
        """The full address of a path of this API."""
        return f"{self._url}{_filled(path, self.parameters)}"

    def call(self, request: str, names: Mapping[str, Any], body: Any = None, form: str | None = None) -> Any:
        """The JSON value that a request written `PUT /path/{id}` is answered with; `names` fill its path."""
        method, _, path = request.partition(" ")
        return self.send(method, self._url + _filled(path, names), body, form)

    def send(self, method: str, url: str, body: Any = None, form: str | None = None) -> Any:
        """The JSON value that a request to this full address is answered with; None where that is none."""
        # Dots would be resolved on the way, here or at the helpdesk, and lead out of the API again.
        if not url.startswith(self._url + "/") or ".." in unquote(urlsplit(url).path).split("/"):
            raise HopelessError(f"the source {self.source.name} points away from its own API, which is not followed")
        options = {"data": {form: json.dumps(body)}} if form else {"json": body} if body is not None else {}
        answer = send(self._rule, self._seconds, method, url, headers=self._headers, **options)
        try:
            return parse_json(answer) if answer.strip() else None
        except ValueError:
            return None


def send(rule: egress.Policy, seconds: float, method: str, url: str, **options: Any) -> bytes:
    """The body of a 2xx answer. Raises CallError for every other."""
    try:
        with egress.Session(rule, seconds) as session:
            response = session.request(method, url, **options)
    except egress.AddressRefusedError as error:
        raise CallError(str(error), Cause.ADDRESS) from None
    except requests.RequestException as error:
        raise CallError(f"it cannot be reached ({type(error).__name__})", Cause.AWAY) from None
    status = response.status_code
    if response.ok and status < 300:
        return response.content
    unlisted = Cause.SERVER if status >= 500 else Cause.REDIRECT if status < 400 else Cause.OTHER
    cause = _CAUSES.get(status, unlisted)
    if cause is Cause.BUSY:
        asked = retry_after(response.headers) or 0
        raise CallError(f"it answered {status} and wants to be left alone", cause, retry_after=asked)
    advice = "; check the token in api" if cause is Cause.KEY else _ADVICE.get(status, "")
    raise CallError(f"it answered {status}{advice}", cause)


def _credential(value: str) -> str:
    """A header's value; what follows `Basic` is encoded as RFC 7617 wants it."""
    scheme, _, rest = value.partition(" ")
    return f"Basic {base64.b64encode(rest.encode()).decode()}" if scheme == "Basic" else value


def _filled(path: str, names: Mapping[str, Any]) -> str:
    """A path with the names in braces filled in, each as one segment."""
    needed = names_in(path)
    if missing := [name for name in needed if name not in names]:
        raise HopelessError(f"api: parameters: {', '.join(missing)} is missing in SOURCES_FILE")
    texts = {name: str(names[name]) for name in needed}
    if not all(text.strip(".") for text in texts.values()):  # Dots alone would point to another path.
        raise HopelessError(_NO_SUCH_TICKET)
    return path.format(**{name: quote(text, safe="") for name, text in texts.items()})
