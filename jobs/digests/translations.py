"""The words of workbook and mail in each of their languages; the folder translations has a file for each."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "de", "fr", "es", "pt")
FOLDER = Path(__file__).with_name("translations")

Words = Mapping[str, Any]


@lru_cache(maxsize=len(LANGUAGES))
def words(language: str) -> Words:
    """The words of a language, by section and English name. Raises ValueError where we do not speak it."""
    if language not in LANGUAGES:
        raise ValueError(f"there are no words for the language {language!r}; it is one of {', '.join(LANGUAGES)}")
    found: Words = yaml.safe_load((FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))
    return found
