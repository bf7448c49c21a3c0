"""The service's addresses, and one that does nothing: what the framework costs before the ledger does anything."""

from django.urls import path
from rest_framework import status, viewsets
from rest_framework.response import Response

from ledger_project import urls
from ledger_project.urls import handler400, handler403, handler404, handler500
from users.authentication import AuthenticatedRequest

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]


class NoOpViewSet(viewsets.ViewSet):
    """Authenticates and reads the body as the API does, and then has nothing to do."""

    def create(self, request: AuthenticatedRequest) -> Response:
        """201, whatever the body holds."""
        assert request.data is not None
        return Response({"ok": True}, status=status.HTTP_201_CREATED)


# The no-op comes first: found soonest, it is the harder one to come up to.
urlpatterns = [path("api/noop/", NoOpViewSet.as_view({"post": "create"})), *urls.urlpatterns]
