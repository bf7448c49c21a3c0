"""After a verification of the ledger: remember how it ended. After a migration: have permissions to export."""

import logging
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import DatabaseError
from django.dispatch import receiver

from ledger_project.admin import LedgerModelAdmin
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


def make_export_permissions(**kwargs: Any) -> None:
    """One permission `export_<model>` for each list that can be exported; called after every migration.

    Not in the models' Meta: who may take a list out is a matter of the admin, and some of the models are Django's own.
    """
    admin.autodiscover()
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, LedgerModelAdmin) and model_admin.export_columns:
            Permission.objects.get_or_create(
                content_type=ContentType.objects.get_for_model(model),
                codename=f"export_{model._meta.model_name}",
                defaults={"name": f"Can export {model._meta.verbose_name}"},
            )
