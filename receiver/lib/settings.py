"""The settings of every process: read once from the environment and `.env`, checked together, then frozen."""

import difflib
import hashlib
import ipaddress
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import marshmallow.fields as mf
from marshmallow import EXCLUDE, Schema, ValidationError
from marshmallow.validate import Email, Length, OneOf, Range, Regexp

from receiver.lib import env_file, sla
from receiver.lib import setting_kinds as kinds
from receiver.lib.mail_addresses import Envelope, on_the_wire
from receiver.lib.roles import ROLES


class SettingsError(ValueError):
    """One or more settings are wrong; the text has a line for each and says what to do."""


def _setting(kind: mf.Field[Any]) -> Any:
    return field(metadata={"kind": kind})


def _text(default: str | None = None, **options: Any) -> Any:
    return _setting(mf.String(load_default=default, **options))


def _whole(default: int, low: int, high: int) -> Any:
    return _setting(mf.Integer(load_default=default, validate=Range(low, high)))


def _real(default: float, low: float, high: float) -> Any:
    return _setting(mf.Float(load_default=default, validate=Range(low, high)))


def _url(*checks: Callable[[str], None], **options: Any) -> Any:
    shape = Regexp(r"https?://[^\s/]+\S*\Z", error="Not an address that begins with http:// or https://.")
    return _setting(mf.String(load_default=None, validate=[shape, kinds.web_address, *checks], **options))


LANGUAGES = ("en", "de", "fr", "es", "pt")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, repr=False)  # A repr would show the secrets in a log or a traceback.
class Settings:
    """Every setting by its name in lower case; `.env.example` explains each."""

    data_dir: Path = _text("./data", validate=kinds.folder)
    database_url: str = _setting(kinds.Written(kinds.database_url, None))
    redis_url: str = _text(validate=kinds.redis_server)
    host: str = _setting(kinds.Written(kinds.host, "127.0.0.1"))
    port: int = _whole(8000, 1, 65535)
    web_workers: int = _whole(2, 1, 64)
    workers: int = _whole(1, 1, 64)
    public_url: str | None = _url()
    trusted_proxies: tuple[kinds.Network, ...] = _setting(kinds.Written(kinds.networks, ()))
    helpdesk_webhook_url: str | None = _url()
    helpdesk_api_key: str | None = _text()
    helpdesk_api_secret: str | None = _text()
    service_catalog_url: str | None = _text()
    openai_api_key: str | None = _setting(kinds.Written(kinds.key, None))
    openai_base_url: str | None = _url(kinds.model_address)
    llm_model: str = _text("gpt-4o-mini")
    llm_temperature: float = _real(0.1, 0, 2)
    llm_max_tokens: int = _whole(500, 50, 100_000)
    llm_concurrency: int = _whole(64, 1, 512)
    llm_timeout: float = _real(30, 1, 600)
    llm_fallback_model: str | None = _text()
    llm_prices: dict[str, kinds.Price] = _setting(
        kinds.Written(kinds.prices, {"gpt-4o-mini": kinds.Price(0.15, 0.075, 0.6)})
    )
    llm_daily_budget: float | None = _setting(mf.Float(load_default=None, validate=Range(0, 1_000_000)))
    redact: bool = _setting(mf.Boolean(load_default=False))
    webhook_secret: tuple[str, ...] = _setting(kinds.Written(kinds.webhook_secrets, ()))
    sources_file: str | None = _text()
    api_token: str | None = _text(validate=Length(min=16, error="Shorter than 16 characters is too easy to guess."))
    oidc_issuer: str | None = _url(kinds.one_tenant)
    oidc_client_id: str | None = _text()
    oidc_client_secret: str | None = _text()
    oidc_default_role: str | None = _text(validate=OneOf(ROLES))
    oidc_trust_email: bool = _setting(mf.Boolean(load_default=False))
    oidc_group_roles: dict[str, str] = _setting(kinds.Written(kinds.group_roles, {}))
    require_second_factor: str = _text("none", validate=OneOf(["none", *reversed(ROLES)]))
    smtp_host: str | None = _text()
    smtp_port: int = _whole(587, 1, 65535)
    smtp_username: str | None = _text(validate=kinds.ascii_only)
    smtp_password: str | None = _text(validate=kinds.ascii_only)
    smtp_oauth_token_url: str | None = _url()
    smtp_oauth_client_id: str | None = _text()
    smtp_oauth_client_secret: str | None = _text()
    smtp_oauth_refresh_token: str | None = _text()
    smtp_oauth_scope: str | None = _text()
    smtp_use_tls: bool = _setting(mf.Boolean(load_default=True))
    smtp_tls: str | None = _text(validate=OneOf(["starttls", "implicit", "none"]))
    smtp_ca_file: str | None = _text(validate=kinds.certificates)
    smtp_helo: str | None = _text(validate=kinds.host_name)
    from_email: str | None = _text(validate=kinds.own_mail_address)
    from_name: str = _text("Ticket Attribution")
    recipient_email: tuple[str, ...] = _setting(kinds.Written(kinds.mail_addresses, ()))
    reply_to: tuple[str, ...] = _setting(kinds.Written(kinds.own_mail_addresses, ()))
    max_attachment_mb: int = _whole(15, 1, 1000)
    sender_name: str = _text("IT Service Desk")
    codebase_link: str | None = _url()
    digest_cron: str = _text("0 8 * * 1-5", validate=kinds.cron)
    digest_timezone: str = _text("UTC", validate=kinds.time_zone)
    digest_language: str = _text("en", validate=OneOf(LANGUAGES))
    digests_file: str | None = _text()
    alert_recipients: tuple[str, ...] = _setting(kinds.Written(kinds.mail_addresses, ()))
    sla_starts: str = _text(sla.CREATED, validate=OneOf(sla.STARTS))
    business_hours: sla.Week | None = _setting(kinds.Written(sla.week, None))
    business_timezone: str = _text("UTC", validate=kinds.time_zone)
    holidays: frozenset[date] = _setting(kinds.Written(sla.holidays, frozenset()))
    digest_after_unknown: str = _text("hold", validate=OneOf(["hold", "resend"]))
    output_dir: Path = _text("./output", validate=kinds.folder)
    report_filename: str = _text("classified_tickets_report.xlsx")
    log_level: str = _text("INFO", validate=OneOf(_LEVELS))
    classification_batch_size: int = _whole(5, 1, 1000)
    request_timeout: float = _real(30, 1, 600)
    outgoing_allow: tuple[str, ...] = _setting(kinds.Written(kinds.places, ()))
    reconcile_minutes: int = _whole(0, 0, 100_000)
    review_threshold: float = _real(0.6, 0, 1)
    backup_every: int = _whole(0, 0, 10_000)
    backup_keep: int = _whole(7, 1, 10_000)
    raw_retention_days: int = _whole(30, 1, 3650)
    ticket_retention_days: int = _whole(0, 0, 36_500)
    workbook_retention_days: int = _whole(0, 0, 36_500)
    mail_retention_days: int = _whole(0, 0, 36_500)
    preview_retention_days: int = _whole(7, 0, 36_500)
    before_restore_keep: int = _whole(5, 0, 10_000)
    backlog_alarm_minutes: int = _whole(10, 1, 10_000)
    disk_alarm_mb: int = _whole(500, 1, 10_000_000)
    max_body_mb: int = _whole(5, 1, 100)
    max_batch: int = _whole(1000, 1, 100_000)

    @property
    def uses_llm(self) -> bool:
        """Whether a model's endpoint is configured; otherwise the local engine answers."""
        return bool(self.openai_api_key or self.openai_base_url)

    @property
    def embeds_redis(self) -> bool:
        """Whether Redis is the embedded one, because no REDIS_URL is set."""
        return self.redis_url == f"unix://{embedded_socket(self.data_dir)}"

    @property
    def envelope(self) -> Envelope:
        """To whom digests go, and the domain they come from."""
        return Envelope(self.recipient_email, on_the_wire(self.from_email or "x@localhost").rpartition("@")[2])

    @property
    def hours(self) -> sla.Hours | None:
        """When the SLA clock runs; None where it always does."""
        return sla.Hours(self.business_hours, self.business_timezone, self.holidays) if self.business_hours else None

    @property
    def sla_clock(self) -> sla.Clock:
        """When the SLA clock runs, and what starts it."""
        return sla.Clock(self.hours, self.sla_starts)

    @property
    def url(self) -> str:
        """Where a person on this machine, or behind `PUBLIC_URL`, opens the pages. No slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        return f"http://{bracketed('localhost' if self.listens_everywhere else self.host)}:{self.port}"

    @property
    def local_url(self) -> str:
        """Where a process on this machine reaches the web server, whatever stands before it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not listening, calling
        return f"http://{bracketed(host)}:{self.port}"

    @property
    def listens_everywhere(self) -> bool:
        """Whether HOST is no address that can be opened, but all of this machine's."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    @property
    def origin(self) -> str:
        """Scheme, host and port of `url`; the path under which a proxy may have us is what url_for puts before ours."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def bracketed(host: str) -> str:
    """The host as it stands in a URL before the port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def addressed(config: Settings) -> str:
    """What to say behind an address that only this machine can open; empty where others can too."""
    unset = config.listens_everywhere and not config.public_url
    return " (from elsewhere by this machine's name and published port; PUBLIC_URL is unset)" if unset else ""


# Made once from the fields above; what the environment holds for other programs is not looked at.
_SCHEMA = Schema.from_dict({f.name: f.metadata["kind"] for f in fields(Settings)})
_ENV_FILE = Path(".env")


def load(environ: Mapping[str, str] | None = None, required: Mapping[str, str] | None = None) -> Settings:
    """The settings in `environ`, by default those of `.env` overlaid with the process's environment.

    An empty value counts as unset. Where a name of `required` is unset, its value is what is said of it. Raises
    SettingsError naming every wrong setting at once.
    """
    if environ is None:
        environ = {**_env_file_values(), **os.environ}
    raw = {name.lower(): value.strip() for name, value in environ.items() if name.isupper() and value.strip()}
    # The name that the OpenAI library had before its version 1.
    raw.setdefault("openai_base_url", raw.get("openai_api_base", ""))
    raw["log_level"] = raw.get("log_level", "INFO").upper()
    raw["smtp_tls"] = raw.get("smtp_tls", "").lower()
    wrong: dict[str, str] = {}
    try:
        values = _SCHEMA(unknown=EXCLUDE).load({name: value for name, value in raw.items() if value})
    except ValidationError as error:
        # The settings that are right are still checked against each other, so that one start tells every mistake.
        valid: Any = error.valid_data
        values = {f.name: None for f in fields(Settings)} | valid
        wrong = {name: " ".join(map(str, texts)) for name, texts in error.normalized_messages().items()}
    missing = {name.lower(): told for name, told in (required or {}).items() if not raw.get(name.lower())}
    if problems := _contradictions(values) | missing | wrong:
        lines = [f"  {name.upper()}: {text}" for name, text in sorted(problems.items())]
        raise SettingsError("\n".join(["These settings are wrong (.env.example explains each):", *lines]))
    data_dir = Path(values["data_dir"]).expanduser().resolve()
    values |= {
        "data_dir": data_dir,
        "output_dir": Path(values["output_dir"]).expanduser(),
        "database_url": values["database_url"] or f"sqlite:///{data_dir}/tickets.db",
        "redis_url": values["redis_url"] or f"unix://{embedded_socket(data_dir)}",
        "from_email": _sending_address(values),
    }
    return Settings(**values)


def _env_file_values() -> dict[str, str]:
    try:
        return env_file.read(_ENV_FILE)
    except env_file.EnvFileError as error:
        raise SettingsError(str(error)) from None


def misspelled() -> list[str]:
    """A line for each name in `.env` or the environment that is none of ours and nearly one. Raises SettingsError."""
    written, known = _env_file_values(), {f.name.upper() for f in fields(Settings)} | {"OPENAI_API_BASE"}
    told = []
    for name in sorted(({*written} | {*os.environ}) - known):
        # What a system sets for others is all over the environment, and what stands in the file is meant for us.
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8 if name in written else 0.9)
        if near:
            told.append(f"{name} is no setting of ours and is not read; {near[0]} may be meant")
    return told


def _contradictions(values: dict[str, Any]) -> dict[str, str]:
    """What is said of each setting that does not go with another; a setting that is wrong itself is None here."""
    problems = {}
    if values["smtp_host"] and not values["recipient_email"] and not values["digests_file"]:
        problems["recipient_email"] = "SMTP_HOST is set, so say who receives the digest."
    if values["smtp_host"] and not _sending_address(values):
        problems["from_email"] = "SMTP_HOST is set, so say which address the digest comes from."
    if values["smtp_oauth_token_url"]:
        if not values["smtp_oauth_client_id"] or not values["smtp_username"]:
            problems["smtp_oauth_client_id"] = (
                "SMTP_OAUTH_TOKEN_URL is set, so set SMTP_OAUTH_CLIENT_ID, and in SMTP_USERNAME the mailbox, too."
            )
        if not values["smtp_oauth_client_secret"] and not values["smtp_oauth_refresh_token"]:
            problems["smtp_oauth_client_secret"] = "Set it, or SMTP_OAUTH_REFRESH_TOKEN, or both."
        if values["smtp_password"]:
            problems["smtp_password"] = "SMTP_OAUTH_TOKEN_URL is set; leave one of them empty."
    elif bool(values["smtp_username"]) != bool(values["smtp_password"]):
        problems["smtp_password"] = "SMTP_USERNAME and SMTP_PASSWORD go together; set both or neither."
    if values["oidc_issuer"] and not (values["oidc_client_id"] and values["oidc_client_secret"]):
        problems["oidc_client_id"] = "OIDC_ISSUER is set, so set OIDC_CLIENT_ID and OIDC_CLIENT_SECRET too."
    models = {values["llm_model"], values["llm_fallback_model"]} - {None}
    if values["llm_daily_budget"] is not None and (dear := models - set(values["llm_prices"] or {})):
        problems["llm_prices"] = f"LLM_DAILY_BUDGET is set, so say what {', '.join(sorted(dear))} costs."
    if 0 < (values["ticket_retention_days"] or 0) < (values["raw_retention_days"] or 0):
        problems["ticket_retention_days"] = "RAW_RETENTION_DAYS keeps their raw bodies longer; make it as short first."
    if Path(values["report_filename"]).name != values["report_filename"] or values["report_filename"] == "..":
        problems["report_filename"] = "A file name without folders; OUTPUT_DIR says where it goes."
    return problems


def _sending_address(values: dict[str, Any]) -> str | None:
    """FROM_EMAIL, or else SMTP_USERNAME where that is an address."""
    try:
        return values["from_email"] or Email()(values["smtp_username"] or "")
    except ValidationError:
        return None


def embedded_socket(data_dir: Path) -> Path:
    """Where the embedded Redis listens: a socket under `data_dir`.

    It is under the system's temporary folder when that path exceeds the 107 bytes of a socket's address (unix(7)).
    """
    path = data_dir / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= 107:
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ticket-attribution-{os.getuid()}-{name}" / "redis.sock"
