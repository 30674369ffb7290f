"""The local engine: no key, no network. Compares a ticket with the catalog's text and with reviewed tickets.

A multilingual sentence encoder places descriptions, examples and tickets near what they mean; keywords and character
n-grams add what the exact words say. A repeat of a reviewed ticket gets the label that a person chose for it.
"""

import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter

import numpy as np

from jobs.classification import prompt_injection
from jobs.classification.engines.base import Example, Proposal, TicketText
from jobs.classification.engines.linear import Linear, text_of
from jobs.classification.engines.local import evidence
from jobs.classification.engines.local.confidence import fitted
from jobs.classification.engines.local.encoder import MODEL, encode
from jobs.classification.engines.local.entry_texts import entries
from jobs.classification.engines.local.nearest_examples import REPEAT, VERBATIM, NearestExamples
from jobs.classification.engines.local.ngrams import Scores
from jobs.classification.engines.local.similarity import Similarity
from receiver.catalog import Catalog

# Of a text of hardly a word, a person should look at what became of it.
_SAYS_LITTLE = 0.5
_REPEAT_SURE, _SURE = 0.85, 0.99

_building = threading.Lock()


def for_catalog(catalog: Catalog) -> "LocalEngine":
    """The engine for a catalog; built once in a process, and inherited by the jobs a worker forks."""
    with _building:  # A cache alone would let every thread that finds it empty build one.
        return _built(catalog)


@lru_cache(maxsize=2)
def _built(catalog: Catalog) -> "LocalEngine":
    return LocalEngine(catalog)


class LocalEngine:
    """Proposes the entry whose text, and whose reviewed tickets, are most like the ticket."""

    name = "local"
    model = MODEL
    parallel = 1

    def __init__(self, catalog: Catalog) -> None:
        self._entries = entries(catalog)
        self._places = {(entry.kind.category, entry.kind.name): place for place, entry in enumerate(self._entries)}
        self._names = tuple(entry.kind.name for entry in self._entries)
        self._fallback = self._places[catalog.fallback.category, catalog.fallback.name]
        self._likeness = Similarity(self._entries)
        self._scale = fitted(*self._likeness.dry_run(), self._likeness.examples)
        self._learning = threading.Lock()
        self._memory = NearestExamples()
        self._linear: Linear | None = None
        self._trained_to = 0

    def propose(self, ticket: TicketText) -> Proposal:
        """The most similar entry, or that of a reviewed ticket which this one repeats, or the linear model's.

        Nothing can order it to name an entry; but where it would name another without the sentences that spell one
        out, or where the text speaks to a machine, somebody may have tried.
        """
        proposal = self._read(ticket)
        rest = evidence.without_names(ticket, self._names)
        named = rest is not None and self._read(rest).label != proposal.label
        text = f"{ticket.short_description}\n{ticket.long_description}"
        return replace(proposal, steers=named or prompt_injection.detect(text, self._names))

    def _read(self, ticket: TicketText) -> Proposal:
        memory = self._memory  # Another thread may replace it meanwhile.
        text = evidence.evidence(ticket)
        vector, subject = encode([text, evidence.subject(ticket)])
        scores = self._likeness.scores(text, vector, subject) + memory.support(vector, subject, self._places)
        if evidence.is_empty(text):
            return self._proposal(self._fallback, 0.0, scores, "the ticket says nothing")
        for cosine, example in memory.nearest(vector, 1):
            # What a linear model has learnt from, it weighs itself; only a verbatim repeat knows better.
            is_in_model = self._linear is not None and example.id <= self._trained_to
            if cosine >= (VERBATIM if is_in_model else REPEAT):
                place, likeness = self._places[example.category, example.request_type], min(1.0, cosine)
                sure = _REPEAT_SURE + (_SURE - _REPEAT_SURE) * (likeness - REPEAT) / (1 - REPEAT)
                return self._proposal(place, sure, scores, f"repeats a reviewed ticket (similarity {likeness:.2f})")
        place = int(np.argmax(scores))
        shares = self._linear.probabilities(text_of(ticket)) if self._linear else {}
        known = {self._places[label]: share for label, share in shares.items() if label in self._places}
        # An entry that the linear model has never seen is one that it cannot choose, so it is not asked then.
        if place in known:
            learnt, share = max(known.items(), key=itemgetter(1))
            return self._proposal(learnt, share, scores, "the words of reviewed tickets of this kind")
        limit = _SAYS_LITTLE if evidence.says_little(text) or self._likeness.is_noise(text) else 1.0
        hits = sorted(self._entries[place].hits(text))
        words = f"names {', '.join(hits[:3])}; " if hits else ""
        reason = f"{words}most like the catalog's “{self._likeness.nearest(place, vector)[:120]}”"
        return self._proposal(place, min(self._scale.confidence(scores), limit), scores, reason)

    def learn(self, examples: Sequence[Example]) -> None:
        """These are all the examples there are; those of entries that the catalog no longer has teach nothing."""
        usable = [example for example in examples if (example.category, example.request_type) in self._places]
        with self._learning:
            self._memory = self._memory.holding(usable)

    def nearest(self, ticket: TicketText, count: int) -> list[Example]:
        """Up to `count` of the learnt examples, those most like the ticket first."""
        memory = self._memory
        if not memory.examples:
            return []
        return [example for _, example in memory.nearest(encode([evidence.evidence(ticket)])[0], count)]

    def adopt(self, linear: Linear | None, trained_to: int = 0) -> None:
        """From now on the linear model decides what repeats no reviewed ticket; None puts it off again.

        `trained_to` is the id of the newest example that it has seen.
        """
        self._linear, self._trained_to = linear, trained_to

    def _proposal(self, place: int, confidence: float, scores: Scores, reason: str) -> Proposal:
        others = [int(other) for other in np.argsort(-scores)[:3] if other != place]
        return Proposal(
            label=self._entries[place].label,
            confidence=round(min(1.0, max(0.0, confidence)), 4),
            reasoning=reason,
            alternatives=tuple(self._entries[other].label for other in others[:2]),
            engine=self.name,
            model=self.model,
        )
