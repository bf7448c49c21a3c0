"""/metrics: how the ledger fares, for Prometheus. All of it comes from the database, so any process may be asked."""

from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector
from rest_framework.request import Request

from ledger_project.mongo import collection
from ledger_project.public import PublicPage
from office import dashboard
from office.models import EngineHour
from transactions import alerts, anchors, continuous_audit
from transactions.models import AccountProof


class Metrics(PublicPage):
    """/metrics."""

    def get(self, request: Request) -> HttpResponse:
        """The figures, for who shows METRICS_TOKEN; where none is set there is no such page."""
        if not settings.METRICS_TOKEN:
            raise Http404
        if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}"):
            return HttpResponse(status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Ledger())
        return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


class _Ledger(Collector):
    """What is told."""

    def describe(self) -> list[Metric]:
        """Nothing: the registry would read everything once more."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every figure, as it is now."""
        yield from _audit()
        yield from _outbox()
        yield from _engine()


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"ledger_{name}", help_, value=value)


def _audit() -> Iterator[Metric]:
    now = timezone.now()
    yield _gauge("findings", "Open findings of the continuous audit.", alerts.open_findings())
    proofs = collection(AccountProof).estimated_document_count()
    yield _gauge("accounts_verified", "Accounts that the continuous audit has been to.", proofs)
    oldest = continuous_audit.oldest_proof_seconds(now)
    yield _gauge("oldest_verification_seconds", "Age of the oldest full verification of an account.", oldest)
    if anchor := anchors.latest():
        yield _gauge("anchor_number", "Number of the last anchor.", anchor.number)
        yield _gauge("anchor_age_seconds", "Age of the last anchor.", (now - anchor.taken_at).total_seconds())


def _outbox() -> Iterator[Metric]:
    queue = dashboard.queue()
    shown = f"at most {dashboard.QUEUE_SHOWN} are counted"
    yield _gauge("outbox_untold", f"Groups of transactions whose notices are to be written; {shown}.", queue.untold)
    yield _gauge("outbox_waiting", f"E-mail that waits to be sent; {shown}.", queue.waiting)
    yield _gauge("outbox_failed", f"E-mail that was given up; {shown}.", queue.failed)
    waited = (timezone.now() - queue.oldest).total_seconds() if queue.oldest else 0
    yield _gauge("outbox_oldest_seconds", "How long the oldest e-mail has waited.", waited)


def _engine() -> Iterator[Metric]:
    """What the processes counted, all hours together: counters only grow."""
    counts, refusals = Counter[str](), Counter[str]()
    for hour in collection(EngineHour).find({}, ["calls", "groups", "transfers", "refusals"]):
        counts.update({name: hour.get(name, 0) for name in ("calls", "groups", "transfers")})
        refusals.update(hour.get("refusals", {}))
    yield CounterMetricFamily("ledger_calls", "Calls of the engine that were answered.", counts["calls"])
    yield CounterMetricFamily("ledger_commits", "Groups that were committed.", counts["groups"])
    yield CounterMetricFamily("ledger_transfers", "Transfers in these groups.", counts["transfers"])
    refused = CounterMetricFamily("ledger_refusals", "Refusals by their code.", labels=["code"])
    for code, count in sorted(refusals.items()):
        refused.add_metric([code], count)
    yield refused
