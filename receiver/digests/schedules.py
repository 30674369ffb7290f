"""The digests there are: DIGESTS_FILE says when each goes out, to whom, and what is in it.

The file may be changed while everything runs: it is looked at whenever it matters. Of one that has mistakes, the last
good one stays in force, which is kept in the data folder.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import marshmallow.fields as mf
from croniter import croniter
from marshmallow import Schema, ValidationError
from marshmallow.validate import Length, NoneOf, OneOf, Regexp

from receiver.db.digest_filters import EVERYTHING, Filter
from receiver.db.digests import ALERT, RUN, SCHEDULED
from receiver.db.models import TICKET_STATES
from receiver.lib import strict_yaml
from receiver.lib.mail_addresses import Envelope
from receiver.lib.setting_kinds import mail_address
from receiver.lib.settings import LANGUAGES, Settings, SettingsError

ALARM = "digests_file"
COLUMNS = (
    "Request ID", "Short Description", "Long Description", "Requester Email", "Category", "Request Type",
    "SLA Value", "SLA Unit", "Confidence", "Status", "Received", "Due",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """One digest as it is ordered: when, to whom, of which tickets, and how it reads."""

    name: str
    cron: str
    zone: str
    recipients: tuple[str, ...]
    chosen: Filter = EVERYTHING
    columns: tuple[str, ...] = COLUMNS
    language: str = "en"
    only_with_news: bool = True

    def envelope(self, settings: Settings) -> Envelope:
        """To whom this digest goes, and the domain it comes from."""
        return Envelope(self.recipients, settings.envelope.domain)

    def latest_slot(self, moment: datetime) -> datetime:
        """The last time at or before `moment` that the plan names, on the wall clock of its zone."""
        # croniter's previous slot is strictly earlier, so it is asked from one second later.
        times = croniter(self.cron, self._wall_clock(moment) + timedelta(seconds=1))
        return self._earliest_instant(times.get_prev(datetime))

    def next_slot(self, moment: datetime) -> datetime:
        """The first time after `moment` that the plan names."""
        times = croniter(self.cron, self._wall_clock(moment))
        while (slot := self._earliest_instant(times.get_next(datetime))) <= moment:
            pass  # The clock was set back: what it shows again has been.
        return slot

    def _wall_clock(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None, microsecond=0)

    def _earliest_instant(self, shown: datetime) -> datetime:
        """What a clock that is set back or forward shows twice or skips is one time: the earliest it can mean."""
        zone = ZoneInfo(self.zone)
        return min(shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


@dataclass(frozen=True)
class InForce:
    """Every digest by name, and what is wrong with the newest file where an earlier one had to be taken."""

    plans: dict[str, Plan]
    problem: str | None = None


def current(settings: Settings) -> InForce:
    """The digests there are now. Raises SettingsError where DIGESTS_FILE has mistakes and never was good."""
    # The path is in the name, so that the last good file of one path never stands in for that of another.
    place = hashlib.sha256(str(Path(settings.digests_file or "").resolve()).encode()).hexdigest()
    last_good = settings.data_dir / f"digests-in-force-{place[:8]}.yaml"
    try:
        found = configured(settings)
    except SettingsError as error:
        if not last_good.exists():
            raise
        return InForce(_load_file(_Defaults.of(settings), last_good), str(error))
    if settings.digests_file:
        written = Path(settings.digests_file).read_bytes()
        if not last_good.exists() or last_good.read_bytes() != written:
            last_good.parent.mkdir(parents=True, exist_ok=True)
            unfinished = last_good.with_name(f".{last_good.name}.{os.getpid()}")
            unfinished.write_bytes(written)
            _load_file(_Defaults.of(settings), unfinished)  # It may have been changed since it was found to be good.
            unfinished.replace(last_good)
    return InForce(found)


def configured(settings: Settings) -> dict[str, Plan]:
    """Every digest by name: those of DIGESTS_FILE, or the one of DIGEST_CRON. Raises SettingsError, of all mistakes."""
    if not settings.digests_file:
        return {SCHEDULED: scheduled(settings)}
    return _load_file(_Defaults.of(settings), Path(settings.digests_file))


def scheduled(settings: Settings) -> Plan:
    """The one digest that needs no file."""
    language = settings.digest_language
    return Plan(SCHEDULED, settings.digest_cron, settings.digest_timezone, settings.recipient_email, language=language)


def named(settings: Settings, name: str | None = None) -> Plan:
    """The digest of this name, or without one the first there is. Raises SettingsError with the names there are."""
    try:
        return choose(configured(settings), name)
    except LookupError as error:
        raise SettingsError(str(error)) from None


def choose(plans: Mapping[str, Plan], name: str | None) -> Plan:
    """The plan of this name, or without one the first there is. Raises LookupError with the names there are."""
    if name is None:
        return next(iter(plans.values()))
    if name not in plans:
        raise LookupError(f"There is no digest of this name; there are {', '.join(plans)}.")
    return plans[name]


def of(settings: Settings, name: str) -> Plan:
    """The plan of the digest `name`; for one that the file does not name, or no longer, the plan without a file."""
    return current(settings).plans.get(name) or scheduled(settings)


class _Several(mf.Field[Any]):
    """One text or a list of texts, to a tuple."""

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(item, str) and item.strip() for item in items):
            raise ValidationError("Write one text, or a list of texts.")
        return tuple(item.strip() for item in items)


def _check_each_item(check: Callable[[str], object]) -> Callable[[Iterable[str]], list[object]]:
    return lambda items: [check(item) for item in items]


_STATES = [state for state in TICKET_STATES if state != "received"]


class _FilterSchema(Schema):
    """Which tickets are in a digest; a ticket is where every line of it holds."""

    category = _Several()
    request_type = _Several()
    source = _Several()
    status = _Several(validate=_check_each_item(OneOf(_STATES, error=f"There are {', '.join(_STATES)}.")))
    at_risk = mf.Boolean(validate=OneOf([True], error="Leave it out, or write at_risk: true."))


def _check_no_column_twice(columns: tuple[str, ...]) -> None:
    if len(set(columns)) < len(columns):
        raise ValidationError("Names a column twice.")


_SETTING = {field.name: field.metadata["kind"] for field in fields(Settings)}


class _PlanSchema(Schema):
    """One digest as it is written."""

    name = mf.String(
        required=True,
        validate=[
            Regexp(r"[A-Za-z0-9][\w-]{0,39}\Z", error="Up to 40 letters, digits, - and _, such as daily."),
            NoneOf([RUN, ALERT], error="This name is taken by mails of ours; write another."),
        ],
    )
    cron = _SETTING["digest_cron"]
    zone = _SETTING["digest_timezone"]
    recipients = _Several(validate=_check_each_item(mail_address))
    chosen = mf.Nested(_FilterSchema, data_key="filter")
    columns = mf.List(
        mf.String(validate=OneOf(COLUMNS, error=f"There are {', '.join(COLUMNS)}.")),
        validate=[Length(min=1, error="Name at least one column."), _check_no_column_twice],
    )
    language = mf.String(validate=OneOf(LANGUAGES, error=f"There are {', '.join(LANGUAGES)}."))
    only_with_news = mf.Boolean()


class _Defaults(NamedTuple):
    """What holds where the file says nothing; hashable, because the parsed file is cached by it."""

    cron: str
    zone: str
    recipients: tuple[str, ...]
    language: str
    mails: bool

    @classmethod
    def of(cls, settings: Settings) -> "_Defaults":
        """Those of the settings."""
        plan = scheduled(settings)
        return cls(plan.cron, plan.zone, plan.recipients, plan.language, bool(settings.smtp_host))


def _load_file(defaults: _Defaults, path: Path) -> dict[str, Plan]:
    # The file's time, size and inode are part of what is cached, so it is parsed again only when it has changed.
    try:
        known = path.stat()
    except OSError as error:
        raise SettingsError(f"DIGESTS_FILE: {path} cannot be read ({type(error).__name__})") from None
    return _parsed_file(defaults, path, (known.st_mtime_ns, known.st_size, known.st_ino))


@lru_cache(maxsize=8)
def _parsed_file(defaults: _Defaults, path: Path, _version: tuple[int, ...]) -> dict[str, Plan]:
    try:
        entries = strict_yaml.part(path, "digests", list)
    except strict_yaml.DocumentError as error:
        raise SettingsError(f"DIGESTS_FILE: {error}") from None
    found: dict[str, Plan] = {}
    wrong = [] if entries else ["it names no digest; add one, or leave DIGESTS_FILE empty"]
    for number, entry in enumerate(entries, 1):
        try:
            plan = _parsed_plan(defaults, entry, found)
            found[plan.name] = plan
        except ValidationError as error:
            name = entry.get("name") if isinstance(entry, Mapping) else None
            place = f"digest {number} ({name})" if isinstance(name, str) and name.isprintable() else f"digest {number}"
            wrong += [f"{place}: {line}" for line in strict_yaml.mistakes(error.normalized_messages())]
    if wrong:
        raise SettingsError("\n  ".join([f"DIGESTS_FILE: {path} has mistakes:", *wrong]))
    return found


def _parsed_plan(defaults: _Defaults, entry: object, before: Mapping[str, Plan]) -> Plan:
    if not isinstance(entry, dict):
        raise ValidationError("Not a mapping with a name.")
    # Given before the schema reads it: its fields are those of the settings, and fill in the defaults we ship.
    given = {"cron": defaults.cron, "zone": defaults.zone} | entry
    data: dict[str, Any] = _PlanSchema().load(given)
    data.setdefault("recipients", defaults.recipients)
    data.setdefault("language", defaults.language)
    if defaults.mails and not data["recipients"]:
        raise ValidationError("SMTP_HOST is set, so say who receives it.", "recipients")
    if data["name"] in before:
        raise ValidationError("Another digest has this name already.", "name")
    data["chosen"] = Filter(**data.get("chosen", {}))
    data["columns"] = tuple(data.get("columns", COLUMNS))
    return Plan(**data)
