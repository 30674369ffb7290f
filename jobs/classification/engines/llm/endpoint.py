"""Where a model's endpoint is: what OPENAI_BASE_URL says, however much of an address was copied into it. Pure."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit, urlunsplit

DEFAULT_BASE_URL = "https://api.openai.com/v1"
# What people copy along: the address of the call itself, or of another one beside it.
_CALLS = ("/chat/completions", "/completions", "/responses", "/embeddings", "/models")
_OFFICIAL, _AZURE = ("openai.com", "azure.com"), ("azure.com", "azure.us", "azure.cn", "azure-api.net")


@dataclass(frozen=True, slots=True)
class Address:
    """The base of the calls, and the query that goes with each.

    `beginnings` are what may stand between the base and /chat/completions, the likeliest first. `is_azure` says that
    the key goes into a header of its own too, `is_official` that a parameter which is not known is refused.
    """

    base: str
    query: dict[str, object]
    beginnings: tuple[str, ...]
    is_azure: bool
    is_official: bool

    @property
    def name(self) -> str:
        """The address without what may be secret in it."""
        parts = urlsplit(self.base)
        return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


def read(base_url: str | None) -> Address:
    """The address in OPENAI_BASE_URL; the provider's own where it is empty."""
    parts = urlsplit(base_url or DEFAULT_BASE_URL)
    path = parts.path.rstrip("/")
    path = next((path.removesuffix(call) for call in _CALLS if path.endswith(call)), path).rstrip("/")
    host = (parts.hostname or "").lower()
    query = parse_qs(parts.query, keep_blank_values=True)
    is_azure = _belongs(host, _AZURE) or "api-version" in query
    beginnings: tuple[str, ...] = ("",)
    if not path:
        beginnings = ("", "/openai/v1" if is_azure else "/v1")
    elif is_azure and path == "/openai":
        beginnings = ("", "/v1")
    return Address(
        base=urlunsplit((parts.scheme, parts.netloc, path, "", "")),
        query={name: values[0] if len(values) == 1 else values for name, values in query.items()},
        beginnings=beginnings,
        is_azure=is_azure,
        is_official=_belongs(host, _OFFICIAL),
    )


def _belongs(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in domains)
