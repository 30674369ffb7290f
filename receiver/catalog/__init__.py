"""The service catalog: read from its location, checked line by line, versioned by content, kept in the database."""

from receiver.catalog.document import MAX_BYTES
from receiver.catalog.entries import DEFAULT_SLA, Catalog, CatalogError, Fault, RequestType
from receiver.catalog.fetching import load
from receiver.catalog.parsing import MAX_REQUEST_TYPES, SHIPPED, parse, shipped
from receiver.catalog.quality import counts, gaps, quality
from receiver.lib.sla import Sla

__all__ = [
    "DEFAULT_SLA",
    "MAX_BYTES",
    "MAX_REQUEST_TYPES",
    "SHIPPED",
    "Catalog",
    "CatalogError",
    "Fault",
    "RequestType",
    "Sla",
    "counts",
    "gaps",
    "load",
    "parse",
    "quality",
    "shipped",
]
