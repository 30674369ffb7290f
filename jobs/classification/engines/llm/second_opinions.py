"""The local engine's second opinions, which cost more than all the rest of a ticket that a model answers."""

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError

from jobs.classification.engines import local
from jobs.classification.engines.base import Proposal, TicketText
from receiver.catalog import Catalog

_SECONDS = 2.0


class SecondOpinions:
    """Forms opinions one after the other, beside what waits for the model."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # The local engine uses one core, and the model's answer takes longer than many of its opinions.
        self._turn = threading.Lock()
        self._latest: Future[Proposal] | None = None

    def begin(self, ticket: TicketText) -> Future[Proposal] | None:
        """An opinion that is formed while the model thinks; None while another one is, for it may never be needed."""
        if self._latest is None or self._latest.done():
            self._latest = self._form(ticket)
            return self._latest
        return None

    def get(self, ticket: TicketText, begun: Future[Proposal] | None, *, needed: bool) -> Proposal | None:
        """The opinion that was begun or, where it is `needed`, one that is formed now.

        None where there is neither, or where it is late: nobody waits long for it.
        """
        opinion = begun or (self._form(ticket) if needed else None)
        if opinion is None:
            return None
        try:
            return opinion.result(_SECONDS)
        except LateError:
            opinion.cancel()
            return None

    def _form(self, ticket: TicketText) -> Future[Proposal]:
        opinion: Future[Proposal] = Future()

        def fill() -> None:
            with self._turn:
                if not opinion.set_running_or_notify_cancel():
                    return
                try:
                    opinion.set_result(local.for_catalog(self._catalog).propose(ticket))
                except Exception as error:  # noqa: BLE001 - whoever waits for the opinion hears it, and nobody else.
                    opinion.set_exception(error)

        # No pool: its threads would keep a run that is done from ending, until the engine is built that nobody needs.
        threading.Thread(target=fill, name="opinion", daemon=True).start()
        return opinion
