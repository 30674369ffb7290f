"""The file `.env`, read so that a value is what is written there, or a line says why it cannot be."""

import io
import re
from pathlib import Path

from dotenv.parser import parse_stream

from receiver.lib import strict_yaml

_LOOKS_LIKE_A_NAME = re.compile(r"\s*(?:export\s+)?['\"]?([A-Za-z_][\w.-]*)")


class EnvFileError(ValueError):
    """The file cannot be read as it stands; the text has a line for each mistake, and repeats no value."""


def read(path: Path) -> dict[str, str]:
    """What the file names, empty where there is none. `$` stands for itself. Raises EnvFileError.

    It is UTF-8, or UTF-16 as PowerShell writes it; comments may be in whatever they are.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except IsADirectoryError:
        told = "is a folder; where a container mounts a file that is missing, one is made: remove it, write the file"
        raise EnvFileError(f"{path} {told}") from None
    except OSError as error:
        raise EnvFileError(f"{path} cannot be read: {error.strerror}; let the user who runs this read it") from None
    try:
        text = strict_yaml.decoded(data, comment=b"#")
    except strict_yaml.DocumentError as error:
        raise EnvFileError(f"{path}, {error}") from None
    # Not by load_dotenv, which only logs a line that it cannot parse, and replaces ${NAME} in a value.
    bindings = list(parse_stream(io.StringIO(text)))
    mistakes = []
    for binding in bindings:
        if not binding.error:
            continue
        line, number = binding.original.string, binding.original.line
        name = _LOOKS_LIKE_A_NAME.match(line)
        if name and "=" in line:
            told = f"line {number}: the value of {name[1]} is not read to its end; close its quote, and quote all of it"
        else:
            told = f"line {number} is none of NAME=value; begin a comment with #"
        mistakes.append(f"{path}, {told}")
    if mistakes:
        raise EnvFileError("\n".join(mistakes))
    return {binding.key: binding.value for binding in bindings if binding.key and binding.value is not None}
