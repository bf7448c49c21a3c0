from accounts.views import AccountViewSet
from ledger_project.routers import SlashOptionalRouter

router = SlashOptionalRouter()
router.register("accounts", AccountViewSet, basename="account")
urlpatterns = router.urls
