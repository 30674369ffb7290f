"""Masking what a model need not see: addresses, numbers of people and accounts, secrets and keys. Pure."""

import ipaddress
import re
from collections.abc import Callable

_NAMES_OF = (
    r"(?:pass(?:word|wort|wd|phrase|code)?|pwd|kennwort|mot de passe|contraseña|senha|secret|token|api[ _-]?key"
    r"|access[ _-]?key|client[ _-]?secret|auth[ _-]?key|private[ _-]?key|credential|pin|otp)"
)
_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)", re.S
)
# How well-known keys begin: OpenAI, GitHub, GitLab, Slack, AWS, Google, Stripe, npm, Hugging Face, SendGrid, JWT.
_TOKEN = re.compile(
    r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|(?:sk|pk|rk)_(?:live|test)_\w{10,}|npm_\w{30,}|hf_\w{20,}"
    r"|whsec_[A-Za-z0-9+/=]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|ya29\.[\w-]{20,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9+/._~-]{12,}=*", re.I)
_IN_URL = re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)")
_NAMED = re.compile(rf"(\b{_NAMES_OF}\b(?:\s+(?:is|was|ist|war|lautet|est|es|é))?\s*[:=]\s*)\S{{4,}}", re.I)
# Without a colon it is a secret only where it looks like one: "the password is expired" stays.
_SAID = re.compile(
    rf"(\b{_NAMES_OF}\s+(?:(?:is|was|ist|war|lautet|est|es|é|now|jetzt)\s+){{0,2}})(?=\S*\d)(?=\S*[^\W\d])\S{{5,}}",
    re.I,
)
# 32 and more of a key's characters, of more than one kind, are no word.
_RANDOM = re.compile(r"(?<![\w/+.-])(?=[\w+/-]*\d)(?=[\w+/-]*[A-Za-z])[A-Za-z0-9+/_-]{32,}={0,2}(?![\w/+-])")
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}|[\w.+-]{1,64}@[\w-]{2,63}\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.I)
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:%\w+)?(?![\w:])", re.I
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_DATE = r"(?!\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\d{4}-\d{2}-\d{2})"
_PHONE = re.compile(
    rf"(?<![\w.,:/-]){_DATE}(?:\+|00|\(?0)[\d(](?:[ ./()-]{{0,2}}\d){{5,14}}(?!\w)"
    r"|(?<![\w.-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"
)


def redact(text: str) -> str:
    """The text with a mark such as [email] in the place of each thing that is masked."""
    text = _KEY.sub("[secret]", text)
    text = _TOKEN.sub("[secret]", text)
    text = _BEARER.sub(r"\1 [secret]", text)
    text = _IN_URL.sub("[secret]", text)
    text = _NAMED.sub(r"\1[secret]", text)
    text = _SAID.sub(r"\1[secret]", text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(lambda found: _masked(found[0], 15, _iban, "[iban]"), text)
    text = _CARD.sub(lambda found: _masked(found[0], 13, _card, "[card]"), text)
    text = _IPV6.sub(lambda found: _masked(found[0], 2, _address, "[ip]"), text)
    text = _IPV4.sub(lambda found: _masked(found[0], 7, _address, "[ip]"), text)
    text = _PHONE.sub("[phone]", text)
    return _RANDOM.sub("[secret]", text)


def _masked(found: str, shortest: int, holds: Callable[[str], bool], mark: str) -> str:
    """`found` with a mark for its longest beginning that `holds`; what follows a number may look like a part of it."""
    for end in range(len(found), shortest - 1, -1):
        if not found[end : end + 1].isalnum() and found[end - 1] not in " -" and holds(found[:end]):
            return mark + found[end:]
    return found


def _card(text: str) -> bool:
    """Whether the digits pass the checksum of card numbers (Luhn; ISO/IEC 7812-1, annex B)."""
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    return any(digits) and (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def _iban(text: str) -> bool:
    """Whether the text passes the checksum of account numbers (ISO 13616: modulo 97 is 1)."""
    plain = "".join(char for char in text.upper() if char.isalnum())
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
