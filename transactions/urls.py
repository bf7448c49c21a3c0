from django.urls import re_path

from ledger_project.routers import SlashOptionalRouter
from transactions.account_views import AccountHistoryViewSet
from transactions.views import EntryViewSet, TransactionViewSet

router = SlashOptionalRouter()
router.register("transactions", TransactionViewSet, basename="transaction")
urlpatterns = [
    *router.urls,
    re_path(r"^accounts/(?P<account_id>[^/]+)/entries/?$", EntryViewSet.as_view({"get": "list"}), name="entry-list"),
    *(
        re_path(
            rf"^accounts/(?P<account_id>[^/]+)/{name}/?$",
            AccountHistoryViewSet.as_view({"get": name}),
            name=f"account-{name}",
        )
        for name in ("statement", "history", "balance")
    ),
]
