"""Pages that are open to everybody."""

from typing import Any

from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView


class PublicPage(APIView):
    """A page without a log-in. It is not part of the API, but what goes wrong here is answered as problem+json, too."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """The JSON renderer writes problems only: whatever the client accepts, a page is not refused for it."""
        return super().perform_content_negotiation(request, force=True)
