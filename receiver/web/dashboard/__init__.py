"""The pages: one module and one blueprint each, named after the page, behind the guard that app.py sets above them."""

from receiver.web.dashboard import (
    account,
    audit,
    catalog,
    deliveries,
    digests,
    jobs,
    live,
    overview,
    people,
    quality,
    review,
    second_factor,
    sources,
    ticket,
    tickets,
)

_PAGES = (
    overview,
    review,
    tickets,
    ticket,
    jobs,
    deliveries,
    digests,
    sources,
    people,
    account,
    second_factor,
    audit,
    quality,
    catalog,
    live,
)

BLUEPRINTS = tuple(page.blueprint for page in _PAGES)
