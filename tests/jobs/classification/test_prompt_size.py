"""How many tokens every ticket pays for before its own text, by an estimate that needs no tokenizer."""

import json
import re
from typing import Any

from jobs.classification.engines.base import TicketText
from jobs.classification.engines.llm.prompt import Prompt
from receiver import catalog as catalogs
from receiver.catalog import Catalog

# Words, long ones twice, numbers by three digits, runs of signs, line breaks; letters beyond ASCII one by one. Of two
# prompts that a tokenizer (o200k) counted as 711 and 2,134 tokens, this makes 735 and 2,185: a little too many.
PIECES = re.compile(r"[A-Za-z]{1,12}|\d{1,3}|[^\w\s]+|\n+|[^\W\d_]")
NAMES = {
    "Network & Wireless": ["VPN Does Not Connect", "Wi-Fi Access Trouble", "Shared Drive Is Away", "Firewall Opening"],
    "Devices & Workplaces": ["Laptop Replacement", "Broken Screen or Dock", "Printer Needs Service", "Mobile Phone"],
    "Programs & Licences": ["Install an Application", "Licence Has Expired", "Application Crashes"],
    "Accounts & Access": ["Password Reset", "Account Locked Out", "New Starter Account", "Leaver Account Removal"],
    "Mail & Calendars": ["Mailbox Is Full", "Distribution List Change", "Calendar Sharing"],
    "Security Incidents": ["Suspicious Mail Report", "Lost or Stolen Device"],
    "Everything Else": ["General Question", "Not in This List"],
}
DESCRIPTION = "Somebody with a working account cannot do this from where they are; asking for a new one goes elsewhere."
EXAMPLES = [
    "it stopped working this morning",
    "Seit gestern geht das nicht mehr",
    "need this for the new colleague",
] * 2
RULES = ["A lost device is for the security people, whatever the device, also when it was found again."] * 8


def made(entry: dict[str, Any], **top: Any) -> Catalog:
    categories = [
        {"name": name, "requests": [{"name": kind, "sla": {"value": 8, "unit": "hours"}} | entry for kind in kinds]}
        for name, kinds in NAMES.items()
    ]
    return catalogs.parse(json.dumps({"categories": categories, "fallback": "Not in This List"} | top))


def tokens(catalog: Catalog) -> int:
    """The estimate for what is the same for every ticket: the system message and the schema."""
    prompt = Prompt(catalog, redacted=False)
    system = prompt.messages(TicketText("", ""), [])[0]["content"]
    return len(PIECES.findall(system + json.dumps(prompt.schema["json_schema"]["schema"], ensure_ascii=False)))


def test_the_bare_names_of_22_request_types_cost_900_tokens_at_most() -> None:
    bare = made({})
    assert len(bare.request_types) == 22
    assert tokens(bare) <= 900


def test_descriptions_rules_and_examples_cost_2600_tokens_at_most() -> None:
    described = made({"description": DESCRIPTION, "examples": EXAMPLES, "keywords": ["vpn", "laptop"]}, rules=RULES)
    assert tokens(described) <= 2600


def test_no_more_than_three_examples_of_an_entry_and_no_keywords_are_sent() -> None:
    few = made({"examples": EXAMPLES[:3]})
    assert tokens(made({"examples": EXAMPLES, "keywords": ["vpn"] * 50})) == tokens(few)
