"""Masking what a model need not see: addresses, numbers of people and accounts, secrets and keys. Pure."""

import ipaddress
import re
from collections.abc import Callable

# Before one of these names there may be more of an identifier: DB_PASSWORD, access_token.
_NAMES_OF = (
    r"(?<![^\W_])(?:pass(?:word|wort|wd|phrase|code)?|pwd?|kennwort|mot de passe|contraseña|senha|wachtwoord"
    r"|hasło|heslo|lösenord|adgangskode|salasana|jelszó|parola|пароль|密码|密碼|パスワード|비밀번호|secret|token|cookie|credential"
    r"|(?:api|access|client|auth|private|account|recovery|wi-?fi|wlan|wpa\d?)[ _-]?(?:key|secret|schlüssel)"
    r"|(?:recovery|backup)[ _-]codes?|pin|otp)"
)
_IS = r"(?:is|was|ist|war|lautet|est|es|é|è|jest|=)"
_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
    r"|\b(?:\d{6}-){7}\d{6}\b|(?<=Private-Lines: ).*?(?:Private-MAC: \w+|\Z)",
    re.S,
)
# How well-known keys begin: OpenAI, GitHub, GitLab, Slack, AWS, Google, Stripe, npm, Hugging Face, SendGrid, Vault,
# Grafana, JWT.
_TOKEN = re.compile(
    r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abeoprs]-[\w-]{10,}"
    r"|hooks\.slack\.com/services/[\w/]+|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}|(?:sk|pk|rk)_(?:live|test)_\w{10,}"
    r"|npm_\w{30,}|hf_\w{20,}|whsec_[A-Za-z0-9+/=]{16,}|SG\.[\w-]{16,}\.[\w-]{16,}|ya29\.[\w-]{20,}"
    r"|hv[bs]\.[\w-]{20,}|gl(?:c|sa)_[\w=]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_BEARER = re.compile(r"\b((?i:bearer|basic))\s+(?=\S*\d|\S*[a-z][A-Z]|\S*=)[A-Za-z0-9+/._~-]{12,}=*")
_IN_URL = re.compile(r"(?<=://)[^\s/:@]+:[^\s/@]+(?=@)|(?<=[?&]sig=)[^\s&]+|(?<=\s-u )[^\s:]+:\S+")
# How a ticket says what is the matter with a password, and not what it is.
_STATE = (
    r"(?!(?:expired|forgotten|lost|locked|reset|wrong|invalid|incorrect|unknown|missing|required|not|none|no"
    r"|abgelaufen|vergessen|gesperrt|falsch|expiré|oublié|perdu|caducad[ao]|olvidad[ao]|expirad[ao]|esquecid[ao])\b)"
)
_NAMED = re.compile(
    rf"({_NAMES_OF}[\"']?(?:\s+{_IS})?\s*(?:[:=→]|->)\s*){_STATE}(?:\"[^\"\n]{{4,}}\"|'[^'\n]{{4,}}'|\S{{4,}})", re.I
)
# Without a colon it is a secret only where it looks like one: "the password is expired" stays.
_SAID = re.compile(
    rf"({_NAMES_OF}\s+(?:(?:{_IS}|now|jetzt)\s+){{0,2}})(?=\S*\d)(?=\S*[^\W\d])\S{{5,}}",
    re.I,
)
_CODE = re.compile(
    rf"(\b(?:pin|otp|(?:verification|security|one-time|access|login|recovery|backup)[ -]codes?|bestätigungscode"
    rf"|sicherheitscode|code (?:de vérification|pin)|código de (?:verificación|verificação))"
    rf"(?:\s+{_IS})?\s*[:=]?\s*)\d{{4,8}}\b",
    re.I,
)
# Where a text speaks of passwords, what is made as rules for passwords demand will be one.
_SPEAKS_OF_ONE = re.compile(rf"{_NAMES_OF}(?!\w)|\blog-?in\b", re.I)
_DEMANDED = re.compile(
    r"(?<![^\s(\"'])(?=[^\s]*\d)(?=[^\s]*[a-z])(?=[^\s]*[A-Z])(?=[^\s]*[!#$%^&*])[^\s()<>\"'\\/]{7,40}(?<![.,;:?])"
)
# 32 and more of a key's characters, letters and digits side by side, are no words; nor are they what a log calls a
# process or a device by (RFC 9562).
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![\w-])"
_RANDOM = re.compile(
    rf"(?<![\w/+.-])(?!(?i:{_UUID}))(?=[\w+/-]*(?:\d[A-Za-z]|[A-Za-z]\d))[A-Za-z0-9+/_-]{{32,}}={{0,2}}(?![\w/+-])"
)
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w-]{1,63}\.)+[\w-]{2,63}|[\w.+-]{1,64}@[\w-]{2,63}\b")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.I)
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}")
_IPV6 = re.compile(
    r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:%\w+)?(?![\w:])", re.I
)
# Neither a mask of networks nor the four numbers of a version.
_IPV4 = re.compile(
    r"(?<![\w.])(?<!version )(?<!firmware )(?<!release )(?<!build )(?!255\.)(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)", re.I
)
_DATE = r"(?!\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b(?![./-]\d)|\d{4}-\d{2}-\d{2})"
# With its country's code; as one dials it at home, in parts or ten digits long; and as in North America.
_PHONE = re.compile(
    rf"(?<![\w.,:/-]){_DATE}(?:(?:\+|00(?=[1-9](?:\D?\d){{8}}))[\d(](?:[ ./()-]{{0,3}}\d){{5,14}}"
    r"|\(?0(?=[1-9]\d{8}|[1-9]\d{0,5}[ ./()-])(?:[ ./()-]{0,3}\d){6,14})(?!\w)"
    r"|(?<![\w.-])(?:1[ .-])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])"
    r"|(?<![\w.-])\(\d{2,5}\) ?\d{3,5}[ -]\d{2,4}(?:[ -]\d{2})?(?![\w-])"
)
# A number in parts of any kind, behind a word that says what it is.
_CALLED = re.compile(
    r"(\b(?:(?:tele)?phone|tel(?:efon\w*)?|mobile?|mobil\w*|cell|handy\w*|fax|whatsapp|call|ring|dial|reach|anruf\w*"
    r"|téléphone|portable|m[óo]vil|celular|teléfono|telefone|telefono|cellulare|telefoon)\b\.?"
    r"(?:\s*(?:me|us|mich|uns|back|on|at|under|unter|is|ist|number|nummer|nr\.?|no\.?|n°|[:=(-])\s*){0,4}\s*)"
    r"\+?\(?\d(?:[ ./()-]{0,3}\d){6,14}(?!\w)",
    re.I,
)


def redact(text: str) -> str:
    """The text with a mark such as [email] in the place of each thing that is masked."""
    text = _KEY.sub("[secret]", text)
    text = _TOKEN.sub("[secret]", text)
    text = _BEARER.sub(r"\1 [secret]", text)
    text = _IN_URL.sub("[secret]", text)
    text = _NAMED.sub(r"\1[secret]", text)
    text = _SAID.sub(r"\1[secret]", text)
    text = _CODE.sub(r"\1[secret]", text)
    if _SPEAKS_OF_ONE.search(text):
        text = _DEMANDED.sub("[secret]", text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(lambda found: _masked(found[0], 15, _iban, "[iban]"), text)
    text = _CARD.sub(lambda found: _masked(found[0], 13, _card, "[card]"), text)
    text = _IPV6.sub(lambda found: _masked(found[0], 2, _address, "[ip]"), text)
    text = _IPV4.sub(lambda found: _masked(found[0], 7, _address, "[ip]"), text)
    text = _PHONE.sub("[phone]", text)
    text = _CALLED.sub(r"\1[phone]", text)
    return _RANDOM.sub("[secret]", text)


def _masked(found: str, shortest: int, holds: Callable[[str], bool], mark: str) -> str:
    """`found` with a mark for its longest beginning that `holds`; what follows a number may look like a part of it."""
    for end in range(len(found), shortest - 1, -1):
        if not found[end : end + 1].isalnum() and found[end - 1] not in " -" and holds(found[:end]):
            return mark + found[end:]
    return found


def _card(text: str) -> bool:
    """Whether the digits pass the checksum of card numbers (Luhn; ISO/IEC 7812-1, annex B).

    The numbers of devices pass it too; they have 15 digits, and of cards only those that begin with 34 or 37.
    """
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    if len(digits) == 15 and digits[-2:] not in ([4, 3], [7, 3]):
        return False
    return any(digits) and (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def _iban(text: str) -> bool:
    """Whether the text passes the checksum of account numbers (ISO 13616: modulo 97 is 1)."""
    plain = "".join(char for char in text.upper() if char.isalnum())
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _address(text: str) -> bool:
    if not any(char.isdigit() for char in text):
        return False  # a::b is how programs name things.
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
