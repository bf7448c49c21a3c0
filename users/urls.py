from ledger_project.routers import SlashOptionalRouter
from users.views import AuthViewSet

router = SlashOptionalRouter()
router.register("auth", AuthViewSet, basename="auth")
urlpatterns = router.urls
