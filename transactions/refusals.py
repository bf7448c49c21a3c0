"""Every "no" that a posting can get: one named exception a rule."""

from decimal import Decimal
from http import HTTPStatus

from ledger_project.errors import LedgerError, Unavailable
from ledger_project.jsonio import plain


class Refusal(LedgerError):
    """A business "no". It leaves nothing behind and does not use up the idempotency key."""


class InvalidAccounts(Refusal):
    """An account is unknown or malformed, or the payer's is not the caller's: the answer does not tell which."""

    code = "invalid_accounts"
    message = "Invalid fromAccount or toAccount"


class InvalidToAccount(Refusal):
    """Initial funds for an account that is unknown or malformed."""

    code = "invalid_to_account"
    message = "Invalid toAccount"


class SystemAccountNotFound(Refusal):
    """The system user has no equity account in the currency of the receiver."""

    code = "system_account_not_found"
    message = "System user account not found"


class NotSystemUser(Refusal):
    """Only system users issue initial funds."""

    status = HTTPStatus.FORBIDDEN
    code = "not_system_user"
    message = "Forbidden access, not a system user"


class SameAccount(Refusal):
    """Payer and payee are one account."""

    code = "same_account"
    message = "fromAccount and toAccount must be different accounts"


class CurrencyMismatch(Refusal):
    """The accounts hold different currencies; nothing here converts."""

    code = "currency_mismatch"
    message = "fromAccount and toAccount must have the same currency"


class AccountNotActive(Refusal):
    """One of the accounts is frozen or closed."""

    code = "account_not_active"
    message = "Both fromAccount and toAccount must be ACTIVE to process transaction"


class InsufficientFunds(Refusal):
    """The payer has less than the amount."""

    code = "insufficient_funds"

    def __init__(self, balance: Decimal, amount: Decimal) -> None:
        """`balance` and `amount` in major units."""
        super().__init__(
            f"Insufficient balance. Current balance is {plain(balance)}. Requested amount is {plain(amount)}"
        )


class BalanceOutOfRange(Refusal):
    """A balance would leave the range of an Int64."""

    code = "balance_out_of_range"
    message = "The transaction would take a balance out of range"


class IdempotencyKeyReused(Refusal):
    """The key was used before, for another request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "idempotency_key_reused"
    message = "idempotencyKey was already used for a different request"


class KeysDiffer(Refusal):
    """The header and the body name two keys."""

    code = "idempotency_keys_differ"
    message = "The Idempotency-Key header and idempotencyKey in the body differ"


class OutcomeUnknown(Unavailable):
    """The database did not say in time whether the transfer was posted, and it is not there (yet)."""

    code = "outcome_unknown"
    message = "The transfer was not confirmed in time. Repeat it with the same idempotencyKey: it never moves twice."


class NotPosted(Unavailable):
    """The transfer was accepted and then failed: the database did not take it. Nothing has moved."""

    code = "not_posted"
    message = "The transfer could not be posted and nothing has moved. Repeat it with the same idempotencyKey."


class Forbidden(NotPosted):
    """The database refuses this very transfer, whenever it is tried: its rules say what ours should have said."""

    code = "posting_forbidden"
    message = "The transfer could not be posted and nothing has moved."
    retryable = False
    retry_after_seconds = None


class TooBusy(Unavailable):
    """More transfers wait than can be posted in time. An earlier request with this key may have been carried out."""

    code = "too_busy"
    message = "Too many transfers wait: this request was not carried out. Repeat it with the same idempotencyKey."


class Overdue(OutcomeUnknown):
    """The commit that carries the transfer has not answered in time."""


class NotStaff(Refusal):
    """Only staff with the permission for it reverse transactions."""

    status = HTTPStatus.FORBIDDEN
    code = "not_staff"
    message = "Forbidden access, only staff may reverse transactions"


class TransactionNotFound(Refusal):
    """There is no transaction with this id."""

    status = HTTPStatus.NOT_FOUND
    code = "transaction_not_found"
    message = "Transaction not found"


class AlreadyReversed(Refusal):
    """The transaction was reversed before, by another request."""

    status = HTTPStatus.CONFLICT
    code = "already_reversed"
    message = "The transaction has already been reversed"


class ReversalIsFinal(Refusal):
    """The transaction is itself a reversal."""

    status = HTTPStatus.CONFLICT
    code = "reversal_is_final"
    message = "A reversal cannot be reversed: make a new transfer instead"


class BatchRefused(Refusal):
    """Another transfer of an atomic batch was refused, so none was posted."""

    code = "batch_refused"
    message = "Not posted: another transfer of the atomic batch was refused"
