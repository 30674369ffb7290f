"""gunicorn's settings of the product for the bare view, which has no database to watch."""

from receiver.web.gunicorn_conf import *  # noqa: F403 - All of them, or the two would not be compared.
from receiver.web.gunicorn_conf import tune


def post_worker_init(_worker: object) -> None:  # type: ignore[no-redef] # It takes the place of the product's.
    """Set up a worker after its fork as the product does."""
    tune()
