"""What a catalog leaves unsaid, in plain words, and what that costs."""

from collections import Counter

from receiver.catalog.entries import Catalog, RequestType, labels

ENOUGH_EXAMPLES = 5
# Of 100 request types found by the local engine on 220 labelled tickets of the shipped catalog, as its text grew.
_COST = (
    "Engines know a request type by its text alone. With names only, the local engine found 34 of 100; "
    "with descriptions 56; with five examples each 71; with keywords too 72."
)


def quality(catalog: Catalog) -> list[str]:
    """Warnings, the most important first; none where nothing is missing."""
    lent = catalog.fallback if catalog.lends_fallback else None
    own = [(label, kind) for label, kind in catalog.labels.items() if kind is not lent]
    thin = [f"{label}: {', '.join(unsaid)}" for label, unsaid in ((label, gaps(kind)) for label, kind in own) if unsaid]
    cost = [f"{len(thin)} of {len(own)} request types say too little. {_COST}"] if thin else []
    unpromised = [f"{label}: no SLA, so 24 hours are assumed" for label, kind in own if kind.sla.is_default]
    no_fallback = []
    if lent:
        name = f"{lent.category}: {lent.name}"
        told = f"No request type is for what fits nowhere, so {name!r} is added; name one of yours by `fallback`."
        no_fallback.append(told)
    # An answer in other letters could not be told apart.
    folded = Counter(label.casefold() for label in catalog.labels)
    alike = [
        f"{label!r} differs from another request type by upper and lower case only; rename one."
        for label in labels(catalog.request_types)
        if folded[label.casefold()] > 1
    ]
    # What is said of two request types helps to tell neither.
    shared = []
    for noun in ("examples", "keywords"):
        owners: dict[str, str] = {}
        for label, kind in catalog.labels.items():
            for text in {text.casefold() for text in getattr(kind, noun)}:
                other = owners.setdefault(text, label)
                if other != label:
                    told = (
                        f"{label!r} and {other!r} share one of their {noun}: {text[:60]!r}; keep it where it belongs."
                    )
                    shared.append(told)
    return [*cost, *no_fallback, *alike, *shared, *thin, *unpromised]


def counts(catalog: Catalog) -> dict[str, int]:
    """How much there is of everything."""
    kinds = catalog.request_types
    return {
        "categories": len({kind.category for kind in kinds}),
        "request_types": len(kinds),
        "descriptions": sum(bool(kind.description) for kind in kinds),
        "examples": sum(len(kind.examples) for kind in kinds),
        "keywords": sum(len(kind.keywords) for kind in kinds),
        "rules": len(catalog.rules),
    }


def gaps(kind: RequestType) -> list[str]:
    """What an entry leaves unsaid that engines would know it by."""
    has = len(kind.examples)
    possible = {
        "no description": not kind.description,
        "no examples": not has,
        f"only {has} of {ENOUGH_EXAMPLES} examples": 0 < has < ENOUGH_EXAMPLES,
        "no keywords": not kind.keywords,
    }
    return [gap for gap, holds in possible.items() if holds]
