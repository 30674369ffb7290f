"""The JSON API under /api: a file and a blueprint for each noun, and what they share."""

from receiver.web.api import catalog, deliveries, digests, stats, tickets

BLUEPRINTS = (
    tickets.blueprint,
    deliveries.blueprint,
    digests.blueprint,
    catalog.blueprint,
    stats.blueprint,
)
