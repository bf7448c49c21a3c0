"""What other apps may listen to."""

from django.dispatch import Signal

# Transactions were posted. Sent once a group, after the commit, with `transaction_ids`; receivers only queue work.
transactions_completed = Signal()

# The whole ledger was verified. Sent with `report`, a verification.Report, and `began`, when it began.
ledger_verified = Signal()
