"""Trimming what a mail program adds to a message: the messages before it, and a signature."""

import re
from itertools import islice

_MARKER_LENGTH = 300  # No line that introduces an earlier message is longer.
_SHORT_MESSAGE = 500  # Characters; a longer one is not merely a note on what stands below it.
_SENTENCE = 20  # Letters; less than that is no request.
_LETTER = re.compile(r"[^\W_]")
_SIGNATURE_LINES = 12
_SIGNATURE_WIDTH = 90

# "On Mon, Ada wrote:" in the languages of the mail programs, on one line or wrapped over up to three.
_WROTE = re.compile(
    r"""(?:
        On\b.{5,250}\bwrote | Am\b.{5,250}\bschrieb\b.{0,100} | Le\b.{5,250}\ba\ écrit | El\b.{5,250}\bescribió
      | Em\b.{5,250}\bescreveu | A\b.{5,250}\bescreveu | Il\b.{5,250}\bha\ scritto\b.{0,100}
      | Op\b.{5,250}\bschreef\b.{0,100}
    )\s*:""",
    re.VERBOSE,
)
_WROTE_BEGINS = ("On ", "Am ", "Le ", "El ", "Em ", "A ", "Il ", "Op ")
_RULE = re.compile(
    r"-{2,}\s*(?:Original Message|Original Appointment|Ursprüngliche Nachricht|Originalnachricht|Message d'origine"
    r"|Message original|Mensaje original|Mensagem original|Messaggio originale|Oorspronkelijk bericht)\s*-{2,}",
    re.IGNORECASE,
)
_FORWARDED = re.compile(
    r"-*\s*(?:Begin forwarded message|Forwarded message|Weitergeleitete Nachricht|Anfang der weitergeleiteten Nachricht"
    r"|Message transféré|Message réexpédié|Début du message réexpédié|Mensaje reenviado|Inicio del mensaje reenviado"
    r"|Mensagem encaminhada|Messaggio inoltrato|Inizio messaggio inoltrato|Doorgestuurd bericht"
    r"|Begin doorgestuurd bericht)\s*:?\s*-*",
    re.IGNORECASE,
)
# The lines Outlook puts above an earlier message: who, when, to whom, about what.
_FROM = re.compile(r"\**(?:From|Von|De|Da|Van)\s?:\**\s*\S", re.IGNORECASE)
_SENT = re.compile(
    r"\**(?:Sent|Date|Gesendet|Datum|Envoyé|Enviado(?: el| em)?|Fecha|Data|Inviato|Verzonden)\s?:\**\s*\S",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\**(?:To|An|À|Para|A|Aan|Subject|Betreff|Objet|Asunto|Assunto|Oggetto|Onderwerp)\s?:\**", re.IGNORECASE
)
# A message that points at what stands below it is about that.
_POINTS_BELOW = re.compile(
    r"\b(?:below|fwd?|forward\w*|fyi|unten|weiterleit\w*|anbei|wg|ci-dessous|transf[eé]r\w*|abajo|reenv[ií]\w*"
    r"|abaixo|encaminh\w*|sotto|inoltr\w*|hieronder|onderstaand\w*|doorgestuurd|doorsturen)\b",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:(?:with\s+)?(?:kind|best|warm|many)?\s*(?:regards|wishes)|sincerely(?:\s+yours)?|yours\s+(?:sincerely|faithfully)"
    r"|cheers|best|thanks(?:\s+and\s+regards)?|many\s+thanks|thank\s+you"
    r"|mit\s+(?:freundlichen|besten|herzlichen|vielen)\s+(?:grüßen|grüssen|gruß)|(?:viele|beste|liebe|freundliche)\s+grüße|mfg|vg|lg"
    r"|(?:bien\s+)?cordialement|(?:meilleures|sincères)\s+salutations|(?:un\s+)?saludos?(?:\s+cordiales)?|atentamente"
    r"|atenciosamente|cumprimentos|(?:cordiali|distinti)\s+saluti|met\s+vriendelijke\s+groet(?:en)?|groeten)[\s,.!]*",
    re.IGNORECASE,
)
_DEVICE = re.compile(
    r"(?:Sent from (?:my|Mail for|Outlook|Yahoo|Proton)\b|Get Outlook for\b"
    r"|Von mein\w+ .{2,40} gesendet|Gesendet (?:von|mit)\b|Envoyé de(?:puis)? mon\b"
    r"|Enviado (?:desde|do|a partir do) m[ie]u?\b|Inviato da(?:l mio)?\b|Verzonden vanaf mijn\b).{0,100}",
    re.IGNORECASE,
)
# What lawyers have put below every mail.
_DISCLAIMER = re.compile(
    r"(?:confidentiality notice|disclaimer)\b.*|(?:this (?:e-?mail|message)|diese (?:e-?mail|nachricht)"
    r"|ce (?:courriel|message)|est[ea] (?:correo|mensaje|mensagem|e-?mail)|quest[oa] (?:messaggio|e-?mail)"
    r"|dit (?:bericht|e-?mail)|deze e-?mail)\b"
    r".{0,150}\b(?:confidential|vertraulich|confidentiel|confidencial|riservat|vertrouwelijk).*",
    re.IGNORECASE,
)
_AFTERTHOUGHT = re.compile(r"P\.?\s?S\.?\b", re.IGNORECASE)


def trimmed(text: str, quotes_are_history: bool) -> str:
    """`text` without the messages it answers and without a signature.

    `quotes_are_history` says that quoted lines at the end are an earlier message even where nothing introduces them:
    true of HTML, where mail programs quote; in a text a person may have begun lines with ">".
    What is left is at least a short sentence; where it would not be, or where the earlier message is what the text is
    about, that part stays.
    """
    lines = text.split("\n")
    for shorten in (_without_history, _without_last_quote if quotes_are_history else list, _without_signature):
        shorter = shorten(lines)
        letters = (found for line in shorter for found in _LETTER.finditer(line))
        if sum(1 for _ in islice(letters, _SENTENCE)) == _SENTENCE:  # A long text is not counted to its end.
            lines = shorter
    return "\n".join(lines)


def _without_history(lines: list[str]) -> list[str]:
    """The lines up to an earlier message, and those between quoted ones; all of them where one was forwarded."""
    kept: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if len(line) < _MARKER_LENGTH and _FORWARDED.fullmatch(_unquoted(line).strip(" *")):
            return [*kept, *map(_unquoted, lines[at:])]
        length = _introduction_length(lines, at)
        if not length:
            kept.append(lines[at])
            at += 1
            continue
        if _points_below(kept):
            return [*kept, *map(_unquoted, lines[at:])]
        # The earlier message ends with its last quoted line, or, where it is not quoted, with the text.
        at += length
        while at < len(lines) and not lines[at].strip():
            at += 1
        if at == len(lines) or not lines[at].startswith(">"):
            break
        while at < len(lines) and (lines[at].startswith(">") or not lines[at].strip()):
            at += 1
    return kept


def _points_below(above: list[str]) -> bool:
    if len(above) >= _SHORT_MESSAGE:  # Each line has an end, so there is no need to join them.
        return False
    text = "\n".join(above)
    return len(text) < _SHORT_MESSAGE and bool(_POINTS_BELOW.search(text))


def _introduction_length(lines: list[str], at: int) -> int:
    """Of how many lines the introduction of an earlier message consists that begins here; 0 where none does."""
    line = _unquoted(lines[at]).strip(" *_")
    if len(line) >= _MARKER_LENGTH or not line:
        return 0
    if _RULE.fullmatch(line):
        return 1
    if line.startswith(_WROTE_BEGINS):
        for length in (1, 2, 3):
            joined = " ".join(_unquoted(part).strip() for part in lines[at : at + length])
            if len(joined) < _MARKER_LENGTH and _WROTE.fullmatch(joined) and _is_by_program(joined, lines, at + length):
                return length
    if _FROM.match(line):
        following = [_unquoted(part).strip() for part in lines[at + 1 : at + 7]]
        if any(_SENT.match(part) for part in following) and any(_ABOUT.match(part) for part in following):
            return 1
    return 0


def _is_by_program(introduction: str, lines: list[str], at: int) -> bool:
    """Whether a mail program wrote "On ..., ... wrote:": a person names neither a date in digits nor an address."""
    following = next((line for line in lines[at : at + 3] if line.strip()), "")
    return following.startswith(">") or "@" in introduction or any(letter.isdigit() for letter in introduction)


def _without_last_quote(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (lines[end - 1].startswith(">") or not lines[end - 1].strip()):
        end -= 1
    return lines if _points_below(lines[:end]) else lines[:end]


def _unquoted(line: str) -> str:
    return line.lstrip("> ") if line.startswith(">") else line


def _without_signature(lines: list[str]) -> list[str]:
    """The lines up to "-- ", to a closing formula with nothing but a signature below it, or to a device's advert."""
    begin = max(0, len(lines) - _SIGNATURE_LINES - 8)  # A disclaimer and a device's advert may stand below it.
    lines = next((lines[:at] for at in range(begin, len(lines)) if _DISCLAIMER.match(lines[at].strip(" *"))), lines)
    for at in range(begin, len(lines)):
        if lines[at].rstrip() in ("--", "—") and at and _is_signature(lines[at + 1 :]):
            lines = lines[:at]
            break
    # What is above may end in a closing formula of its own, or in a device's advert.
    end = len(lines)
    while end:
        line = lines[end - 1].strip()
        if line and (len(line) >= _MARKER_LENGTH or not _DEVICE.fullmatch(line)):
            break
        end -= 1
    lines = lines[:end]
    for at in range(max(1, len(lines) - _SIGNATURE_LINES), len(lines)):
        below = lines[at + 1 :]
        if len(lines[at]) < 80 and _CLOSING.fullmatch(lines[at].strip()) and _is_signature(below):
            return lines[:at]
    return lines


def _is_signature(lines: list[str]) -> bool:
    # Lines of a signature are short; a long one, or a postscript, is something that the person still wanted to say.
    return all(len(line) <= _SIGNATURE_WIDTH and not _AFTERTHOUGHT.match(line) for line in lines)
