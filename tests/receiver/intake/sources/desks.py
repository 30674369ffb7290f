"""One desk of every profile: its entry in SOURCES_FILE, its secret, and a delivery as its helpdesk sends it."""

import json
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import yaml

from receiver.intake import sources
from receiver.intake.signatures import Message
from receiver.intake.sources import Source
from receiver.lib.settings import Settings

AT = 1767261630.0  # 2026-01-01T10:00:30Z, half a minute after the fixtures' events.
PUBLIC = "https://hooks.example.com"
SECRET = "s3cr3t-for-tests-0001"
WEBHOOK_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
FIXTURES = Path(__file__).parent / "fixtures"
NAMES = sorted(path.stem for path in FIXTURES.glob("*.json"))
_TOKENS = ("freshdesk", "freshservice", "servicedeskplus", "servicenow", "token")


@dataclass(frozen=True)
class Desk:
    """A helpdesk that signs with what its source knows."""

    source: Source
    fixture: dict[str, Any]
    at: float = AT

    @property
    def url(self) -> str:
        return f"/webhooks/{self.source.name}"

    def newer(self) -> "Desk":
        """The same ticket an hour later, under another delivery id."""
        text = json.dumps(self.fixture)
        for old, new in _LATER:
            text = text.replace(old, new)
        return changed(self, fixture=json.loads(text), at=self.at + 1)

    def body(self) -> bytes:
        return json.dumps(self.fixture["body"], indent=1, ensure_ascii=False).encode()

    def request(self, body: bytes | None = None) -> dict[str, Any]:
        """The keyword arguments of a Flask test client's POST."""
        raw = self.body() if body is None else body
        message = Message({}, raw, "POST", PUBLIC + self.url)
        live = self.source.secrets[0].value if self.source.secrets else ""
        proof = self.source.signing.sign(live, message, self.at)
        return {"data": raw, "headers": self.fixture["headers"] | proof, "content_type": "application/json"}


_LATER = [
    ("VPN down", "VPN still down"),
    ("01-01T10:00:00", "01-01T11:00:00"),
    ("01-01 10:00:00", "01-01 11:00:00"),
    ("1767261600", "1767265200"),
    ("delivery-1", "delivery-2"),
]


def settings_for(config: Settings) -> Settings:
    """Settings with a desk of every profile."""
    path = config.data_dir.with_name("sources.yaml")
    entries = {name: entry(name) for name in NAMES if name != "standard"}
    path.write_text(yaml.safe_dump({"sources": entries}), encoding="utf-8")
    return changed(config, sources_file=str(path), webhook_secret=(WEBHOOK_SECRET,), public_url=PUBLIC)


def entry(name: str) -> dict[str, Any]:
    """The entry of a desk in SOURCES_FILE."""
    if name in _TOKENS:
        return {"profile": name, "token": {"basic": f"tickets:{SECRET}"}}
    return {"profile": name, "secrets": [SECRET]}


def desk(config: Settings, name: str) -> Desk:
    """The desk of a profile."""
    return Desk(sources.configured(settings_for(config))[name], fixture(name))


def fixture(name: str) -> dict[str, Any]:
    """A delivery of a profile and the ticket it is; `in_api` is its name there, where that is another than ours."""
    found: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))
    return found
