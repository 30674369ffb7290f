"""Why something was not done. The text says what is wrong, and what to do; a page, the API and a command show it."""


class ActionError(Exception):
    """Something cannot be done."""


class NotFoundError(ActionError):
    """There is nothing of this number or name."""


class ConflictError(ActionError):
    """As it is now, this cannot be done to it."""


class InvalidError(ActionError):
    """What was asked for is not possible at all."""


class GoneError(ActionError):
    """What it would take was kept once, and is no longer."""


class QueueAwayError(ActionError):
    """Redis does not answer, so nothing was changed."""
