"""URLs that answer with and without their trailing slash."""

from rest_framework.routers import SimpleRouter


class SlashOptionalRouter(SimpleRouter):
    """A client that POSTs to /api/accounts must not meet a redirect, nor one that POSTs to /api/accounts/."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"
