"""What engines answer during the month: three eras, each a little better, and mostly as sure as they are right."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from demo.month.writing import INJECTION, Written
from jobs.classification.decide import decide
from jobs.classification.engines.base import Proposal
from jobs.classification.outcome import classification
from receiver.catalog import Catalog, RequestType
from receiver.db.models import Classification

Entry = tuple[str, str]

# What is easily taken for what, beside the neighbours in the same category.
_ALIKE: Mapping[str, tuple[str, ...]] = {
    "Reset forgotten password": ("Account Unlock", "SaaS Platform Access (Jira/Salesforce)"),
    "Account Unlock": ("Reset forgotten password", "Employee Offboarding"),
    "Request System/Shared-Drive Access": ("SaaS Platform Access (Jira/Salesforce)", "New Employee Onboarding"),
    "Mobile Device Issue": ("Report Lost/Stolen Device", "Other Hardware Request"),
    "SaaS Platform Access (Jira/Salesforce)": ("Request System/Shared-Drive Access", "HR System Issue"),
    "Software Installation Issue": ("Request New Software License", "Other Software Issue"),
    "VPN Connection Issue": ("Other Network Issue", "Wi-Fi/LAN Connectivity"),
    "Report Phishing/Suspicious Email": ("Report Malware/Security Incident",),
    "Report Lost/Stolen Device": ("Mobile Device Issue",),
    "New Employee Onboarding": ("Request System/Shared-Drive Access", "Laptop Repair/Replacement"),
    "Employee Offboarding": ("Account Unlock", "HR System Issue"),
    "General Inquiry/Undefined": ("Other Software Issue", "Other Hardware Request", "HR System Issue"),
}


@dataclass(frozen=True)
class Era:
    """How tickets were attributed from one day of the month on; `skill` shapes how many answers are right."""

    from_day: int
    engine: str
    model: str
    prompt_version: str | None
    skill: tuple[float, float]
    milliseconds: float
    cost_micros: int

    @property
    def tokens(self) -> tuple[int, int]:
        """Tokens of a typical prompt and answer."""
        return (4_150, 92) if self.engine == "llm" else (0, 0)


def answer(
    chance: random.Random, era: Era, catalog: Catalog, written: Written, ticket_id: int, threshold: float
) -> Classification:
    """The classification of a ticket, decided as a job decides."""
    truth = known(catalog, written.truth)
    likely = chance.betavariate(*era.skill)
    told = truth if chance.random() < likely else _mistaken(chance, catalog, truth)
    confidence = min(0.99, max(0.2, likely * 0.96 + 0.04 + chance.gauss(0, 0.04)))
    proposal = _proposal(chance, era, catalog, written, (truth, told), confidence)
    latency = round(era.milliseconds * chance.lognormvariate(0, 0.4))
    decision = decide(proposal, catalog, threshold)
    return classification(ticket_id, proposal, decision, catalog, latency_ms=latency, from_fallback_engine=False)


def known(catalog: Catalog, entry: Entry) -> RequestType:
    """The entry, or what stood for it before it came into the catalog."""
    category, _ = entry
    return catalog.find(*entry) or next((k for k in catalog.request_types if k.category == category), catalog.fallback)


def _mistaken(chance: random.Random, catalog: Catalog, truth: RequestType) -> RequestType:
    alike = [kind for kind in catalog.request_types if kind.name in _ALIKE.get(truth.name, ())]
    near = [kind for kind in catalog.request_types if kind.category == truth.category and kind is not truth]
    drawn = chance.random()
    if alike and drawn < 0.55:
        return chance.choice(alike)
    return chance.choice(near if near and drawn < 0.9 else [k for k in catalog.request_types if k is not truth])


def _proposal(
    chance: random.Random,
    era: Era,
    catalog: Catalog,
    written: Written,
    truth_and_told: tuple[RequestType, RequestType],
    confidence: float,
) -> Proposal:
    truth, told = truth_and_told
    label = catalog.names[told.category, told.name]
    wrong = [_mistaken(chance, catalog, truth) for _ in range(3)]
    others = {catalog.names[kind.category, kind.name] for kind in (truth, *wrong)}
    prompt, completion = era.tokens
    second = truth if chance.random() < 0.78 else _mistaken(chance, catalog, truth)
    return Proposal(
        label=label,
        confidence=round(confidence, 3),
        reasoning=_reason(chance, written, told),
        alternatives=tuple(sorted(others - {label}))[:2],
        engine=era.engine,
        model=era.model,
        prompt_version=era.prompt_version,
        prompt_tokens=round(prompt * chance.uniform(0.97, 1.06)) if prompt else 0,
        completion_tokens=round(completion * chance.uniform(0.7, 1.4)) if completion else 0,
        cost_micros=round(era.cost_micros * chance.uniform(0.9, 1.15)),
        second_opinion=catalog.names[second.category, second.name] if era.engine == "llm" else None,
        steers=written.text.startswith(INJECTION[1]),
    )


def _reason(chance: random.Random, written: Written, told: RequestType) -> str:
    words = written.text.split("\n")[0].split()
    start = chance.randrange(max(1, len(words) - 4))
    quote = " ".join(words[start : start + 5]).strip(".,;:!?")
    return f'The requester writes "{quote}", which is what {told.name} is for.'
