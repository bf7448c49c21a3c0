"""After a verification of the ledger: remember how it ended."""

import logging
from datetime import datetime
from typing import Any

from django.db import DatabaseError
from django.dispatch import receiver

from office.models import Verification
from transactions.signals import ledger_verified
from transactions.verification import Report

logger = logging.getLogger(__name__)


@receiver(ledger_verified)
def remember(sender: Any, report: Report, began: datetime, **kwargs: Any) -> None:
    """Store the result. Where that fails, the result stands all the same: whoever asked for it has it."""
    try:
        Verification.objects.create(
            began_at=began,
            seconds=report.seconds,
            whole=report.whole,
            accounts=report.accounts,
            transactions=report.transactions,
            entries=report.entries,
            counts=dict(report.counts),
            findings=[
                {"code": finding.code.value, "subject": str(finding.subject), "message": finding.message}
                for finding in report.findings
            ],
        )
    except DatabaseError as error:
        logger.warning("the verification is not remembered: %s", type(error).__name__)
