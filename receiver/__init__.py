"""What arrived and who may see it: the record, the webhooks, the API and the pages."""

from receiver.lib.version import newest_release

__version__ = newest_release()
