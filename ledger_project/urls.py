"""Every address of the service."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.decorators.gzip import gzip_page
from django.views.generic import RedirectView

from ledger_project.health import Liveness, Readiness
from ledger_project.landing import ConsolePage, DocsPage, LandingPage, LinkPage, SchemaPage, VerificationPage
from ledger_project.proofs import ProofPage
from office.metrics import Metrics
from transactions.demo import DemoPeople

urlpatterns = [
    path("", gzip_page(LandingPage.as_view()), name="landing"),
    re_path(r"^console/?$", ConsolePage.as_view(), name="console"),
    re_path(r"^reset-password/?$", LinkPage.as_view(), name="reset-password"),
    re_path(r"^verify-email/?$", VerificationPage.as_view(), name="verify-email"),
    path("proof/<path:path>", ProofPage.as_view(), name="proof"),
    re_path(r"^demo/?$", DemoPeople.as_view(), name="demo"),
    path("api/", include("transactions.urls")),  # first, for it is what is asked for most
    path("api/", include("accounts.urls")),
    path("api/", include("users.urls")),
    re_path(r"^api/schema/?$", SchemaPage.as_view(), name="schema"),
    re_path(r"^api/docs/?$", DocsPage.as_view(), name="docs"),
    re_path(r"^healthz/?$", Liveness.as_view()),
    re_path(r"^readyz/?$", Readiness.as_view()),
    re_path(r"^metrics/?$", Metrics.as_view()),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", include("office.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "ledger_project.problems.bad_request"
handler403 = "ledger_project.problems.permission_denied"
handler404 = "ledger_project.problems.not_found"
handler500 = "ledger_project.problems.server_error"
