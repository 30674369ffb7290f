"""What arrived and who may see it: the record, the webhooks, the API and the pages."""

__version__ = "0.1.0"
