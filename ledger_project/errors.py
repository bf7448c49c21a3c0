"""The errors that a client can meet. Each app adds its own named refusals; problems.py turns them all into answers."""

from http import HTTPStatus


class LedgerError(Exception):
    """A named "no". Subclasses set the status, a stable machine `code` and the sentence the client reads.

    `retryable` tells the client that the same request may succeed later, unchanged.
    """

    status = HTTPStatus.BAD_REQUEST
    code = "ledger_error"
    message = "The request was refused."
    retryable = False
    retry_after_seconds: int | None = None

    def __init__(self, message: str | None = None) -> None:
        self.message = message or type(self).message
        super().__init__(self.message)


class Unavailable(LedgerError):
    """The database could not be reached in time; nothing is known to be wrong with the request."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    message = "The ledger cannot be reached right now. Repeat the same request in a moment."
    retryable = True
    retry_after_seconds: int | None = 1


class InternalError(LedgerError):
    """A defect of ours. The client learns the request id, never the exception."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "internal_error"
    message = "Something went wrong on our side."
    retryable = True
