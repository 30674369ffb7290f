"""What of a ticket is evidence: its text, without sentences that command whoever classifies it.

A command cannot choose the label here, for nothing obeys it; but the words it quotes would weigh as the ticket's own.
"""

import re
from collections.abc import Sequence

from jobs.classification import prompt_injection
from jobs.classification.engines.base import TicketText

MAX_TEXT = 2_000
_LOOKED_AT = 8_000  # As far as the linear model reads.
_PARTS = re.compile(r"\[[^\]]*\]|\{[^}]*\}|<[^>]*>|[^.!?;\n\[\]{}<>]+[.!?;]*|.", re.DOTALL)
_WORDS = re.compile(r"\w+")
_COMMANDS = re.compile(
    r"""
    \b(?:classifiers?|language\s+model|llm|ai\s+(?:assistant|model|system|agent)|system\s+prompt|triage\s+bot)\b
    | \b(?:ignor\w*|disregard|forget|override|vergiss|olvida|oublie[zr]?)\b .{0,40}
      \b(?:instruc\w*|instruç\w*|istruzion\w*|anweisung\w*|consignes|prompts?|previous|above|guidelines)\b
    | \b(?:classif\w+|clasifi\w+|klassifizier\w*|categori[sz]e)\b .{0,40} \b(?:as|als|comme|como|come)\b
    | \b(?:label|tag|mark)\s+(?:this|it|(?:the\s+)?(?:ticket|request))\b .{0,20} \bas\b
    | \b(?:correct|right|true|only|final|expected|valid)\s+(?:label|category|class|classification|request\s+type)\b
    | \b(?:request_type|label|category|confidence)\b \s+ (?:must|should|has\s+to)\s+be\b
    | \b(?:request_type|label|confidence)\b ["']? \s* [:=]
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def evidence(ticket: TicketText) -> str:
    """Subject and body as one text of MAX_TEXT characters at most."""
    subject, body = (without_commands(text[:MAX_TEXT]) for text in (ticket.short_description, ticket.long_description))
    return f"{subject}. {body}"[:MAX_TEXT].strip()


def subject(ticket: TicketText) -> str:
    """The subject alone; the whole text where it says nothing."""
    found = without_commands(ticket.short_description[:MAX_TEXT])
    return evidence(ticket) if is_empty(found) else found


def without_commands(text: str) -> str:
    """The text without what tells a classifier what to answer; all of it where nothing else is said."""
    kept = "".join(part for part in _PARTS.findall(text) if not _COMMANDS.search(part)).strip()
    return kept if _WORDS.search(kept) else text.strip()


def without_names(ticket: TicketText, names: Sequence[str]) -> TicketText | None:
    """The ticket without the sentences that spell out one of the `names`; None where none does, or nothing is left."""
    read = TicketText(ticket.short_description[:_LOOKED_AT], ticket.long_description[:_LOOKED_AT])
    texts = (read.short_description, read.long_description)
    rest = TicketText(*(prompt_injection.without_names(text, names) for text in texts))
    is_other = rest != read and not is_empty(rest.short_description + rest.long_description)
    return rest if is_other else None


def says_little(text: str) -> bool:
    """Whether the text is too short to tell what it is about, as are a greeting or a single word."""
    words = _WORDS.findall(text)
    return len(words) < 3 and sum(map(len, words)) < 16


def is_empty(text: str) -> bool:
    """Whether there is no letter or digit in it."""
    return not _WORDS.search(text)
