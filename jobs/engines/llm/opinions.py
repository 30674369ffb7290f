"""The local engine's second opinions, which cost more than all the rest of a ticket that a model answers."""

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as LateError

from jobs.engines import Proposal, TicketText, local
from receiver.catalog import Catalog

_SECONDS = 2.0


class Opinions:
    """Forms opinions one after the other, in a thread of their own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # One thread: the local engine uses one core, and the model's answer takes longer than many of its opinions.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="opinion")
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
        return self._pool.submit(lambda: local.for_catalog(self._catalog).propose(ticket))
