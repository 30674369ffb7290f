"""Asterisks in the place of what is secret in a body or a header, however it is written. Pure; linear in the length."""

import json
import re
from collections.abc import Sequence
from urllib.parse import quote_plus, unquote_plus

_NESTED = 5  # How many times JSON may stand in a text of JSON.
_LONGEST_NAME = 100
# A name is a secret's where one of these stands in it, signs aside, or one of those is a word of it.
_PARTS = (
    "password|passwd|passwort|passphrase|passcode|kennwort|contrasena|contraseña|motdepasse|senha|wachtwoord|secret|token"
    "|apikey|accesskey|privatekey|signingkey|encryptionkey|authorization|authorisation|credential|cookie|sessionid|jwt"
)
_WORDS = {"pass", "pwd", "pw", "pin", "otp", "totp", "mfa", "auth", "cvv", "cvc", "pat", "bearer", "psk", "seed"}
_PART = re.compile(_PARTS, re.IGNORECASE)
_WORD = re.compile(r"[A-Z]{2,}s?(?![a-z])|[A-Z]?[a-z]+")
_SIGNS = re.compile(r"[^\w]|_")
# How a list of named values calls their names, and the values: {"name": "password", "value": "..."}.
_NAMES, _VALUES = {"name", "key", "field", "label", "id"}, {"value", "values"}

_KEY = re.compile(r"(-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----)(.*?)(-----END |\Z)", re.DOTALL)
_WELL_KNOWN = re.compile(
    r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bxox[abeoprs]-[\w-]{10,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}|\bsk-[\w-]{16,}|\bwhsec_[A-Za-z0-9+/=]{16,}"
)
_CREDENTIAL = re.compile(r"\b((?i:bearer)\s++|(?i:basic)\s++(?=\S*?[\d=A-Z]))([^\s\"'\\,;<>]{3,})")
_IN_URL = re.compile(r"(://[^\s/:@\"]{0,200}:)([^\s/@\"]{1,200})(?=@)")
# A name of one word or two, perhaps with quotation marks that are escaped themselves, and what makes it a name.
_FIELD = re.compile(
    r"(?<![\w-])((?:[\w-]{1,30}[ ])?[\w-]{1,60})(?:\\{0,8}[\"'])?[ \t]*+(?:[:=]|->)\s*+"
    r"|\"(?:name|key|field|label|id)\"\s*+:\s*+\"([^\"\n]{1,50})\"\s*+,\s*+\"values?\"\s*+:\s*+"
)
# A list, a text in quotes, or what stands up to the end of the line: pass phrases have blanks.
_VALUE = re.compile(
    r"\[[^\]]{0,20000}+\]?|\{[^}]{0,20000}+\}?|\\{0,8}+\"[^\"\\\n]*+|\\{0,8}+'[^'\\\n]*+|[^\n&;<>{}\[\]\"]++"
)
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*+")(\s*+:)?|[-+\w.]++', re.DOTALL)
_NOT_SPACE = re.compile(r"\S")


class _Pairs(list[tuple[str, object]]):
    """A JSON object as its members in their order; a name that is there twice stays twice, so that both are masked."""


def is_secret(name: str) -> bool:
    """Whether what has this name is a secret."""
    name = name[:_LONGEST_NAME]
    if _PART.search(_SIGNS.sub("", name)):
        return True
    return any(word.lower().removesuffix("s") in _WORDS for word in _WORD.findall(name))


def masked(text: str, secrets: Sequence[str]) -> str:
    """The text, JSON or not, with asterisks for each of `secrets` and for whatever else looks like one.

    It stays as long as it was where it is no JSON, so that the place of a fault stays where it is.
    """
    return _masked_json(text, secrets, _NESTED) or _masked_text(text, secrets)


def masked_form(text: str, secrets: Sequence[str]) -> str:
    """The same for the body of a form."""
    fields = []
    for field in text.split("&"):
        name, sign, value = field.partition("=")
        plain = unquote_plus(value)
        shown = masked(plain, secrets)
        if sign and is_secret(unquote_plus(name)):
            fields.append(f"{name}={'*' * len(value)}")
        elif shown != plain:
            fields.append(f"{name}={quote_plus(shown, safe='*')}")
        else:
            fields.append(field)
    return "&".join(fields)


def _masked_json(text: str, secrets: Sequence[str], left: int) -> str | None:
    """The text where it is JSON, written as it was but for what is masked."""
    if not left or text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        document = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    # The values are put back into the text itself, token by token: written anew, its blanks, its numbers and the place
    # of a fault would change.
    instead = iter(_masked_values(document, secrets, left, ascii_only=text.isascii()))

    def replaced(token: re.Match[str]) -> str:
        if token[2]:
            return token[0]  # The name of a member.
        put = next(instead, None)
        if put is None:
            return token[0]
        return put or (f'"{"*" * (len(token[0]) - 2)}"' if token[1] else "*" * len(token[0]))

    return _TOKEN.sub(replaced, text)


def _masked_values(document: object, secrets: Sequence[str], left: int, *, ascii_only: bool) -> list[str | None]:
    """For each value but lists and objects, in order: what is written instead, "" for asterisks, None to keep it."""
    found: list[str | None] = []
    pending = [(document, False)]  # A stack of ours, as hostile JSON may be nested deeper than Python may recurse.
    while pending:
        value, hidden = pending.pop()
        if isinstance(value, _Pairs):
            named = any(
                name.lower() in _NAMES and isinstance(of, str) and len(of) <= _LONGEST_NAME // 2 and is_secret(of)
                for name, of in value
            )
            members = [(of, hidden or is_secret(name) or (named and name.lower() in _VALUES)) for name, of in value]
            pending += reversed(members)
        elif isinstance(value, list):
            pending += [(item, hidden) for item in reversed(value)]
        elif isinstance(value, str):
            shown = "" if hidden else _masked_json(value, secrets, left - 1) or _masked_text(value, secrets)
            changed = shown != value and not hidden
            found.append(json.dumps(shown, ensure_ascii=ascii_only) if changed else "" if hidden else None)
        else:
            found.append("" if hidden and value is not None and not isinstance(value, bool) else None)
    return found


def _masked_text(text: str, secrets: Sequence[str]) -> str:
    """The text masked by patterns alone."""
    # The longest first: where one secret begins with another, the rest of it would be left.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "*" * len(secret))
    text = _KEY.sub(lambda found: found[1] + _asterisks(found[2]) + found[3], text)
    text = _WELL_KNOWN.sub(lambda found: "*" * len(found[0]), text)
    text = _IN_URL.sub(lambda found: found[1] + "*" * len(found[2]), text)
    text = _CREDENTIAL.sub(lambda found: found[1] + "*" * len(found[2]), text)
    pieces, at = [], 0
    for found in _FIELD.finditer(text):
        if found.start() < at or not is_secret(found[1] or found[2]):
            continue
        if value := _VALUE.match(text, found.end()):
            # The quotation mark before a value stays.
            begin = len(value[0]) - len(value[0].lstrip("\\").lstrip("\"'"))
            pieces += [text[at : found.end()], value[0][:begin], _asterisks(value[0][begin:])]
            at = value.end()
    return "".join([*pieces, text[at:]])


def _asterisks(text: str) -> str:
    return _NOT_SPACE.sub("*", text)
