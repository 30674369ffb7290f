"""How sending a mail fails."""


class MailError(Exception):
    """The mail was not sent, or nobody knows (`unknown`); `permanent` means that trying again is in vain.

    `error_code` names the kind of fault in one word for programs. The text is one line: what happened, the server's own
    words where it said any, and the setting to change. It holds neither user name nor password.
    """

    def __init__(self, message: str, error_code: str, *, permanent: bool = False, unknown: bool = False) -> None:
        super().__init__(message)
        self.error_code, self.permanent, self.unknown = error_code, permanent, unknown
