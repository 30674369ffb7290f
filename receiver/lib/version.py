"""The version of this program: the newest release in CHANGELOG.md, where alone it is written."""

import re
from importlib import metadata
from pathlib import Path

CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
_RELEASE = re.compile(r"## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)\n?")


def newest_release(changelog: Path = CHANGELOG) -> str:
    """The version in the first heading that names a release and its day.

    An installed package has no changelog beside it; it knows what it was built as. "unknown" where there is neither.
    """
    try:
        with changelog.open(encoding="utf-8") as lines:
            return next(found[1] for line in lines if (found := _RELEASE.fullmatch(line)))
    except (OSError, StopIteration):
        pass
    try:
        return metadata.version("ticket-attribution")
    except metadata.PackageNotFoundError:
        return "unknown"
