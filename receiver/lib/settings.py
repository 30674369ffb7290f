"""The settings of every process: read once from the environment and `.env`, checked together, then frozen."""

import difflib
import hashlib
import ipaddress
import os
import re
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from email.errors import MessageError
from email.headerregistry import Address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import marshmallow.fields as mf
from croniter import croniter
from marshmallow import EXCLUDE, Schema, ValidationError
from marshmallow.validate import Email, Length, OneOf, Range, Regexp
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from receiver.lib import env_file, shared_secrets, sla
from receiver.lib.mail_addresses import Envelope, on_the_wire
from receiver.lib.roles import ROLES

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(ValueError):
    """One or more settings are wrong; the text has a line for each and says what to do."""


def _zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValidationError("Not a known time zone; write one such as Europe/Berlin.") from None


_RANDOM = re.compile(r"(?:^|[\s,])[rh](?:$|[\s,(/])", re.IGNORECASE)


def _cron(expression: str) -> None:
    if len(expression.split()) != 5 or not croniter.is_valid(expression):
        raise ValidationError("Not a cron expression of five fields, such as 0 8 * * 1-5.")
    try:
        croniter(expression).get_prev()
    except ValueError:
        raise ValidationError("Names a time that never comes, such as 30 February.") from None
    if _RANDOM.search(expression):
        raise ValidationError("R and H pick a time at random; name one.")


def _webhook_secrets(secrets: list[str]) -> None:
    for secret in secrets:
        shared_secrets.refuse_published(secret)
        shared_secrets.standard_key(secret)


def _folder(path: str) -> None:
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise ValidationError("Names the home of a user who is not known here.") from None


_SCHEMES = ("postgresql+psycopg://", "postgresql://", "postgres://")


def _database(url: str) -> str:
    """The URL with our driver. Raises ValueError."""
    if not url.startswith(("sqlite:///", *_SCHEMES)):
        raise ValueError(
            "Must begin with postgresql:// or sqlite:///; after that a path is relative, sqlite:////data/x.db is not."
        )
    for scheme in _SCHEMES:
        if url.startswith(scheme):
            url = _SCHEMES[0] + url.removeprefix(scheme)
            break
    try:
        known = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("Not a valid URL; percent-encode what is special in its password.") from None
    if url.startswith("sqlite") and known.database in (None, "", ":memory:"):
        raise ValueError("Names no file, so the record would be lost with the process.")
    threshold = str(known.query.get("prepare_threshold", "none"))
    if not (threshold.lower() == "none" or threshold.isdecimal()):
        raise ValueError("prepare_threshold is a whole number, or none, as PgBouncer needs it.")
    return url


def _host(host: str) -> str:
    """An address without its brackets, or a name. Raises ValueError."""
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare:
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise ValueError("Not an address or a name; PORT is a setting of its own.") from None
    elif not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?", bare):
        raise ValueError("Not an address or a name, such as 127.0.0.1, ::1 or 0.0.0.0.")
    return bare


def _redis(url: str) -> None:
    from receiver.lib.redis_url import check_url  # Where no REDIS_URL is set, nothing needs it here.

    try:
        check_url(url)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _certificates(path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # An ssl.SSLError is one.
        why = "It has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ValidationError(f"Not a file of certificates: {why}.") from None


def _host_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f.:IPv]+\]", name):
        raise ValidationError("Not the name of a host, such as tickets.example.com, or [192.0.2.1].")


class _List(mf.String):
    """Comma-separated text to a tuple; `check` sees the items."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, *args, **kwargs)
        return tuple(item.strip() for item in text.split(",") if item.strip())


def _places(items: tuple[str, ...]) -> None:
    for item in items:
        if not re.fullmatch(r"[\w.-]+", item, re.ASCII):
            try:
                ipaddress.ip_network(item, strict=False)
            except ValueError:
                raise ValidationError("Hosts, addresses and networks, such as llm.internal, 10.1.2.0/24.") from None


def networks(text: str) -> tuple[Network, ...]:
    """The addresses and networks in a comma-separated text. Raises ValueError."""
    try:
        return tuple(ipaddress.ip_network(item.strip(), strict=False) for item in text.split(",") if item.strip())
    except ValueError:
        raise ValueError("Addresses and networks, such as 127.0.0.1, 10.0.0.0/8, fd00::/8.") from None


class _Written(mf.String):
    """A text that `read` understands, or says why not."""

    def __init__(self, read: Callable[[str], Any], default: Any) -> None:
        super().__init__(load_default=default)
        self._read = read

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._read(super()._deserialize(value, *args, **kwargs))
        except ValueError as error:
            raise ValidationError(str(error)) from None


def mail_address(address: str) -> str:
    """The address, if a mail can go there. Raises ValidationError."""
    Email()(address)
    try:
        wire = on_the_wire(address)
    except UnicodeError:
        raise ValidationError("What stands after the @ is no name of a mail domain.") from None
    try:
        is_written = address.isprintable() and (not wire.isascii() or Address(addr_spec=wire).addr_spec)
    except (ValueError, TypeError, IndexError, MessageError):  # Python's own words for what it cannot read.
        is_written = False
    if not is_written:
        raise ValidationError("Not an address that the head of a mail can carry.")
    return address


def _own_mail_address(address: str) -> str:
    """An address of ours stands in the head of every mail, which has to be ASCII for servers without SMTPUTF8."""
    if not on_the_wire(mail_address(address)).isascii():
        raise ValidationError("What stands before the @ can only have ASCII letters, digits and marks.")
    return address


class _Emails(_List):
    def __init__(self, check: Callable[[str], str] = mail_address) -> None:
        super().__init__(load_default=())
        self._check = check

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return tuple(self._check(item) for item in super()._deserialize(value, *args, **kwargs))


def _ascii(text: str) -> None:
    if not text.isascii():
        raise ValidationError("A mail server takes only ASCII characters here.")


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of a model cost: of a prompt, of a prompt the provider had kept, of an answer."""

    prompt: float
    cached: float
    completion: float


class _Prices(mf.String):
    """MODEL=PROMPT/CACHED/ANSWER, comma-separated, to a table of prices."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        items = super()._deserialize(value, *args, **kwargs).split(",")
        return dict(self._price(item.strip()) for item in items if item.strip())

    @staticmethod
    def _price(item: str) -> tuple[str, Price]:
        model, _, prices = item.rpartition("=")
        try:
            prompt, cached, completion = (float(price) for price in prices.split("/"))
        except ValueError:
            prompt = cached = completion = -1
        if (
            not model.strip()
            or "=" in model
            or not all(0 <= price <= 1_000_000 for price in (prompt, cached, completion))
        ):
            raise ValidationError("Write MODEL=PROMPT/CACHED/ANSWER, each a price per million tokens, comma-separated.")
        return model.strip(), Price(prompt, cached, completion)


def _setting(kind: mf.Field[Any]) -> Any:
    return field(metadata={"kind": kind})


def _text(default: str | None = None, **options: Any) -> Any:
    return _setting(mf.String(load_default=default, **options))


def _whole(default: int, low: int, high: int) -> Any:
    return _setting(mf.Integer(load_default=default, validate=Range(low, high)))


def _real(default: float, low: float, high: float) -> Any:
    return _setting(mf.Float(load_default=default, validate=Range(low, high)))


def _address(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValidationError("Not a valid address: its port or its brackets are wrong.") from None
    if not parts.hostname:
        raise ValidationError("Not a valid address: it names no host.")


def _model_address(url: str) -> None:
    """OPENAI_BASE_URL: what Azure shows for a deployment is of no use without its version."""
    path, _, query = url.partition("?")
    if "/openai/deployments/" in path and "api-version=" not in query:
        raise ValidationError("A deployment at Azure needs its version: add ?api-version=2024-10-21 at the end.")


def _url(*checks: Callable[[str], None], **options: Any) -> Any:
    shape = Regexp(r"https?://[^\s/]+\S*\Z", error="Not an address that begins with http:// or https://.")
    return _setting(mf.String(load_default=None, validate=[shape, _address, *checks], **options))


class _Key(mf.String):
    """A key as it was copied: without the quotes that a container's env file keeps, or the word Bearer before it."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        key = (
            str(super()._deserialize(value, *args, **kwargs)).strip("\"'\u200b\ufeff ").removeprefix("Bearer ").strip()
        )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ValidationError("Not a key: it has a blank, a line break or a letter that no key has; copy it again.")
        return key


class _GroupRoles(mf.String):
    """GROUP=ROLE, comma-separated, to a table of roles."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        found = {}
        for item in filter(None, map(str.strip, super()._deserialize(value, *args, **kwargs).split(","))):
            group, _, role = item.rpartition("=")
            if not group.strip() or role.strip() not in ROLES:
                raise ValidationError(f"Write GROUP=ROLE, comma-separated, each role one of {', '.join(ROLES)}.")
            found[group.strip()] = role.strip()
        return found


def _one_tenant(url: str) -> None:
    if re.match(r"https://login\.microsoftonline\.com/(common|organizations|consumers)(/|\Z)", url, re.IGNORECASE):
        raise ValidationError("Lets people of every tenant in; write your tenant's id in the place of common.")


LANGUAGES = ("en", "de", "fr", "es", "pt")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, repr=False)  # A repr would show the secrets in a log or a traceback.
class Settings:
    """Every setting by its name in lower case; `.env.example` explains each."""

    data_dir: Path = _text("./data", validate=_folder)
    database_url: str = _setting(_Written(_database, None))
    redis_url: str = _text(validate=_redis)
    host: str = _setting(_Written(_host, "127.0.0.1"))
    port: int = _whole(8000, 1, 65535)
    web_workers: int = _whole(2, 1, 64)
    workers: int = _whole(1, 1, 64)
    public_url: str | None = _url()
    trusted_proxies: tuple[Network, ...] = _setting(_Written(networks, ()))
    helpdesk_webhook_url: str | None = _url()
    helpdesk_api_key: str | None = _text()
    helpdesk_api_secret: str | None = _text()
    service_catalog_url: str | None = _text()
    openai_api_key: str | None = _setting(_Key(load_default=None))
    openai_base_url: str | None = _url(_model_address)
    llm_model: str = _text("gpt-4o-mini")
    llm_temperature: float = _real(0.1, 0, 2)
    llm_max_tokens: int = _whole(500, 50, 100_000)
    llm_concurrency: int = _whole(64, 1, 512)
    llm_timeout: float = _real(30, 1, 600)
    llm_fallback_model: str | None = _text()
    llm_prices: dict[str, Price] = _setting(_Prices(load_default={"gpt-4o-mini": Price(0.15, 0.075, 0.6)}))
    llm_daily_budget: float | None = _setting(mf.Float(load_default=None, validate=Range(0, 1_000_000)))
    redact: bool = _setting(mf.Boolean(load_default=False))
    webhook_secret: tuple[str, ...] = _setting(_List(load_default=(), validate=_webhook_secrets))
    sources_file: str | None = _text()
    api_token: str | None = _text(validate=Length(min=16, error="Shorter than 16 characters is too easy to guess."))
    oidc_issuer: str | None = _url(_one_tenant)
    oidc_client_id: str | None = _text()
    oidc_client_secret: str | None = _text()
    oidc_default_role: str | None = _text(validate=OneOf(ROLES))
    oidc_trust_email: bool = _setting(mf.Boolean(load_default=False))
    oidc_group_roles: dict[str, str] = _setting(_GroupRoles(load_default={}))
    require_second_factor: str = _text("none", validate=OneOf(["none", *reversed(ROLES)]))
    smtp_host: str | None = _text()
    smtp_port: int = _whole(587, 1, 65535)
    smtp_username: str | None = _text(validate=_ascii)
    smtp_password: str | None = _text(validate=_ascii)
    smtp_oauth_token_url: str | None = _url()
    smtp_oauth_client_id: str | None = _text()
    smtp_oauth_client_secret: str | None = _text()
    smtp_oauth_refresh_token: str | None = _text()
    smtp_oauth_scope: str | None = _text()
    smtp_use_tls: bool = _setting(mf.Boolean(load_default=True))
    smtp_tls: str | None = _text(validate=OneOf(["starttls", "implicit", "none"]))
    smtp_ca_file: str | None = _text(validate=_certificates)
    smtp_helo: str | None = _text(validate=_host_name)
    from_email: str | None = _text(validate=_own_mail_address)
    from_name: str = _text("Ticket Attribution")
    recipient_email: tuple[str, ...] = _setting(_Emails())
    reply_to: tuple[str, ...] = _setting(_Emails(_own_mail_address))
    max_attachment_mb: int = _whole(15, 1, 1000)
    sender_name: str = _text("IT Service Desk")
    codebase_link: str | None = _url()
    digest_cron: str = _text("0 8 * * 1-5", validate=_cron)
    digest_timezone: str = _text("UTC", validate=_zone)
    digest_language: str = _text("en", validate=OneOf(LANGUAGES))
    digests_file: str | None = _text()
    alert_recipients: tuple[str, ...] = _setting(_Emails())
    sla_starts: str = _text(sla.CREATED, validate=OneOf(sla.STARTS))
    business_hours: sla.Week | None = _setting(_Written(sla.week, None))
    business_timezone: str = _text("UTC", validate=_zone)
    holidays: frozenset[date] = _setting(_Written(sla.holidays, frozenset()))
    digest_after_unknown: str = _text("hold", validate=OneOf(["hold", "resend"]))
    output_dir: Path = _text("./output", validate=_folder)
    report_filename: str = _text("classified_tickets_report.xlsx")
    log_level: str = _text("INFO", validate=OneOf(_LEVELS))
    classification_batch_size: int = _whole(5, 1, 1000)
    request_timeout: float = _real(30, 1, 600)
    outgoing_allow: tuple[str, ...] = _setting(_List(load_default=(), validate=_places))
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


_SCHEMA = Schema.from_dict({f.name: f.metadata["kind"] for f in fields(Settings)})


_ENV_FILE = Path(".env")


def load(environ: Mapping[str, str] | None = None, required: Mapping[str, str] | None = None) -> Settings:
    """The settings in `environ`, by default those of `.env` overlaid with the process's environment.

    An empty value counts as unset. Where a name of `required` is unset, its value is what is said of it. Raises
    SettingsError naming every wrong setting at once.
    """
    if environ is None:
        environ = {**_written(), **os.environ}
    raw = {name.lower(): value.strip() for name, value in environ.items() if name.isupper() and value.strip()}
    raw.setdefault("openai_base_url", raw.get("openai_api_base", ""))
    raw["log_level"] = raw.get("log_level", "INFO").upper()
    raw["smtp_tls"] = raw.get("smtp_tls", "").lower()
    wrong: dict[str, str] = {}
    try:
        values = _SCHEMA(unknown=EXCLUDE).load({name: value for name, value in raw.items() if value})
    except ValidationError as error:
        valid: Any = error.valid_data
        values = {f.name: None for f in fields(Settings)} | valid
        wrong = {name: " ".join(map(str, texts)) for name, texts in error.normalized_messages().items()}
    missing = {name.lower(): told for name, told in (required or {}).items() if not raw.get(name.lower())}
    if problems := _contradictions(values) | missing | wrong:
        raise SettingsError(_explain(problems))
    return Settings(**_with_places(values))


def _written() -> dict[str, str]:
    try:
        return env_file.read(_ENV_FILE)
    except env_file.EnvFileError as error:
        raise SettingsError(str(error)) from None


def misspelled() -> list[str]:
    """A line for each name in `.env` or the environment that is none of ours and nearly one. Raises SettingsError."""
    written, known = _written(), {f.name.upper() for f in fields(Settings)} | {"OPENAI_API_BASE"}
    told = []
    for name in sorted(({*written} | {*os.environ}) - known):
        # What a system sets for others is all over the environment, and what stands in the file is meant for us.
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8 if name in written else 0.9)
        if near:
            told.append(f"{name} is no setting of ours and is not read; {near[0]} may be meant")
    return told


def _contradictions(values: dict[str, Any]) -> dict[str, str]:
    problems = {}
    if values["smtp_host"] and not values["recipient_email"] and not values["digests_file"]:
        problems["recipient_email"] = "SMTP_HOST is set, so say who receives the digest."
    if values["smtp_host"] and not _own_address(values):
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


def _with_places(values: dict[str, Any]) -> dict[str, Any]:
    data_dir = Path(values["data_dir"]).expanduser().resolve()
    return values | {
        "data_dir": data_dir,
        "output_dir": Path(values["output_dir"]).expanduser(),
        "database_url": values["database_url"] or f"sqlite:///{data_dir}/tickets.db",
        "redis_url": values["redis_url"] or f"unix://{embedded_socket(data_dir)}",
        "from_email": _own_address(values),
    }


def _own_address(values: dict[str, Any]) -> str | None:
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


def _explain(problems: dict[str, str]) -> str:
    lines = [f"  {name.upper()}: {text}" for name, text in sorted(problems.items())]
    return "\n".join(["These settings are wrong (.env.example explains each):", *lines])
