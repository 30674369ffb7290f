"""Reconciling: asking a helpdesk from time to time for what no webhook has brought.

What is found goes through the same intake as a delivery, under a key made of its content, and only what the database
lacks is recorded; so nothing doubles, however often and by however many this runs.
"""

import hashlib
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

from jobs.helpdesks import pull
from jobs.helpdesks.api import Api, CallError, search
from jobs.helpdesks.pull import PullError
from receiver import queue
from receiver.db import alarms, deliveries, latencies, moments, tickets
from receiver.db.database import Database, opened
from receiver.db.deliveries import Arrival, Content
from receiver.db.models import RECONCILE
from receiver.intake import sources
from receiver.intake.sources import Source, standard
from receiver.lib import settings
from receiver.lib.clock import now
from receiver.lib.log import configure
from receiver.lib.settings import Settings

MAX_PAGES = 1000
# A helpdesk's clock may be behind ours, and what it took in last may not be listed yet.
OVERLAP = timedelta(minutes=15)

ALARM = "reconcile"

log = logging.getLogger(__name__)


def reconcile_due() -> None:
    """The job of the timetable, every minute. Safe to run twice, and at once: what is found is known by its content."""
    config = settings.load()
    configure(config.log_level)
    with opened(config.database_url) as db:
        known = sources.configured(config)
        found = sum(reconcile(db, config, source) for source in known.values() if is_due(db, config, source))
    if found:
        queue.try_wake(queue.CLASSIFY, config.redis_url)


def is_due(db: Database, config: Settings, source: Source) -> bool:
    """Whether a source is to be reconciled now: its time has come, and it has not asked to be left alone."""
    if source.reconcile:
        minutes = source.reconcile["every_minutes"]
    else:  # The standard source is pulled, by the settings of the one-shot pipeline.
        is_pulled = source.name == "standard" and config.helpdesk_webhook_url
        minutes = config.reconcile_minutes if is_pulled else 0
    if not minutes:
        return False
    with db.read() as session:
        last = moments.noted(session, moments.RECONCILED, source.name)
        pause = moments.noted(session, moments.RECONCILE_PAUSED_UNTIL, source.name)
    # A moment in the future was noted by a clock that has been set back since.
    return not (last and timedelta(0) <= now() - last < timedelta(minutes=minutes)) and not (pause and now() < pause)


def reconcile(db: Database, config: Settings, source: Source) -> int:
    """Bring in what the database lacks, and return how many tickets that were; what goes wrong is an alarm."""
    started, found = now(), 0
    with db.read() as session:
        last = moments.noted(session, moments.RECONCILED, source.name)
    since = last - OVERLAP if last else None
    try:
        pages = (
            _json_pages(Api(config, source), source.reconcile, since)
            if source.reconcile
            else [pull.from_helpdesk(config).items]
        )
        for items in pages:
            for start in range(0, len(items), config.max_batch):
                found += bring_in(db, source, items[start : start + config.max_batch])
    except (CallError, PullError) as error:
        with db.write() as session:
            if told := alarms.raise_(session, ALARM, now(), subject=source.name, source=source.name, error=str(error)):
                log.error("Alarm: %s", told)
            if pause := getattr(error, "pause", 0):
                until = now() + timedelta(seconds=pause)
                moments.note(session, moments.RECONCILE_PAUSED_UNTIL, until, source.name)
        return found
    with db.write() as session:
        moments.note(session, moments.RECONCILED, started, source.name)
        alarms.clear(session, ALARM, source.name)
    if found:
        log.warning("%d tickets of %s had not come by webhook; they are recorded", found, source.name)
    return found


def _json_pages(helpdesk: Api, options: Mapping[str, Any], since: datetime | None) -> Iterator[Sequence[Any]]:
    """The lists of items in a paged JSON source; a page names the next one by its address or by a cursor."""
    url = first = helpdesk.address(options["path"])
    if since and "since" in options:
        url = first = _with_parameter(first, options["since"], f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    seen: set[str] = set()
    while len(seen) < MAX_PAGES:
        seen.add(url)
        answer = helpdesk.send("GET", url)
        items = search(options.get("items", "@"), answer)
        if not isinstance(items, list):
            raise CallError("its answer has no list where reconcile: items says")
        yield items
        following = search(options["next"], answer) if "next" in options else None
        if not following or not items:
            return
        by_cursor = options.get("next_parameter")
        url = _with_parameter(first, by_cursor, str(following)) if by_cursor else urljoin(url, str(following))
        if url in seen:
            raise CallError("its pages go round in circles; check reconcile: next")
    raise CallError(f"it has more than {MAX_PAGES} pages; let reconcile: since narrow them down")


def _with_parameter(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, [parts.query, urlencode({name: value}, quote_via=quote)]))
    return urlunsplit(parts._replace(query=query))


def bring_in(db: Database, source: Source, items: Sequence[Any]) -> int:
    """Record those of the items that the database lacks, as one delivery; returns how many tickets that were."""
    began = time.perf_counter()
    read = [_read_item(source, item) for item in items]
    usable = [(document, ticket) for document, content in read for ticket in content.tickets]
    if unusable := sum(not content.tickets for _, content in read):
        log.warning("%d of %d items of %s are no tickets; see reconcile: fields", unusable, len(items), source.name)
    with db.write() as session:
        names = tickets.missing(session, source.name, [ticket for _, ticket in usable])
        lacking = [(document, ticket) for document, ticket in usable if ticket.external_id in names]
        body = json.dumps([document for document, _ in lacking], ensure_ascii=False).encode("utf-8", "replace")
        sha256 = hashlib.sha256(body).hexdigest()
        # The key is made of the content, so that two runs at once record it once.
        key = f"reconcile-{sha256}"
        if not lacking or deliveries.original(session, source.name, key):
            return 0
        headers, has_fields = {"content-type": "application/json"}, bool((source.reconcile or {}).get("fields"))
        arrival = Arrival(source.name, key, headers, body, sha256, now(), origin=RECONCILE, own_shape=has_fields)
        # Of two versions of a ticket on different pages, the later one counts.
        newest = {ticket.external_id: ticket for _, ticket in lacking}
        delivery = deliveries.record(session, arrival, source.completing(Content(list(newest.values()))))
        took = (time.perf_counter() - began) * 1000
        latencies.note(session, latencies.ACCEPT, [took] * delivery.accepted, now())
    return delivery.accepted + delivery.updated


def _read_item(source: Source, item: Any) -> tuple[Any, Content]:
    """An item as it is recorded, and the ticket in it, by `reconcile: fields` or as a delivery of the source."""
    fields = (source.reconcile or {}).get("fields")
    if fields:
        document = {name: search(path, item) for name, path in fields.items()}
        return document, standard.validate([document])
    if source.reconcile is None:
        return item, standard.validate([item])
    body = json.dumps(item).encode()
    return item, source.read(body, {"content-type": "application/json"}, 1, len(body))
