from django.urls import re_path

from ledger_project.routers import SlashOptionalRouter
from users.views import AuthViewSet, SessionViewSet

router = SlashOptionalRouter()
router.register("auth", AuthViewSet, basename="auth")
sessions = [
    re_path(r"^auth/sessions/?$", SessionViewSet.as_view({"get": "list", "delete": "destroy_all"})),
    re_path(r"^auth/sessions/(?P<pk>[^/]+)/?$", SessionViewSet.as_view({"delete": "destroy"})),
]
urlpatterns = router.urls + sessions
