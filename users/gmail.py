"""Gmail with OAuth2: Django's SMTP backend, which signs in by XOAUTH2 with a token that Google's library refreshes."""

import smtplib
import threading
from functools import cache, partial

from django.conf import settings
from django.core.mail.backends import smtp
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials

_refreshing = threading.Lock()


class EmailBackend(smtp.EmailBackend):
    """STARTTLS, then AUTH XOAUTH2 as settings.GMAIL["user"]."""

    def open(self) -> bool | None:
        """Connect and sign in. Raises google.auth's RefreshError or TransportError when there is no token to be had,
        SMTPAuthenticationError when Gmail does not take it.
        """
        opened = super().open()
        if opened:
            try:
                self._sign_in()
            except BaseException:
                self.close()  # a connection that is not signed in is not one to send over
                raise
        return opened

    def _sign_in(self) -> None:
        assert self.connection is not None, "sign in after connecting"
        token = access_token()
        self.connection.ehlo_or_helo_if_needed()
        try:
            self.connection.auth("XOAUTH2", partial(_answer, _gmail()["user"], token))
        except smtplib.SMTPAuthenticationError:
            _forget(token)
            raise


def access_token() -> str:
    """An access token that is valid now: the one at hand, or a fresh one. Threads share it; one refreshes at a time."""
    with _refreshing:
        credentials = _credentials()
        if not credentials.valid:
            credentials.refresh(partial(Request(), timeout=settings.EMAIL_TIMEOUT))
        return str(credentials.token)


def _answer(user: str, token: str, challenge: bytes | None = None) -> str:
    """What XOAUTH2 says: everything at once; to a challenge nothing, for it carries the error."""
    return "" if challenge else f"user={user}\1auth=Bearer {token}\1\1"


def _forget(token: str) -> None:
    """Have the next sign-in fetch another token: Gmail refused this one before it expired."""
    with _refreshing:
        credentials = _credentials()
        if credentials.token == token:
            credentials.token = None


def _gmail() -> dict[str, str]:
    return settings.GMAIL  # type: ignore[misc]  # there only with EMAIL_PROVIDER=gmail


def _credentials() -> Credentials:
    gmail = _gmail()
    return _kept(gmail["client_id"], gmail["client_secret"], gmail["refresh_token"], gmail["token_uri"])


@cache
def _kept(client_id: str, client_secret: str, refresh_token: str, token_uri: str) -> Credentials:
    """One Credentials a process, which remembers its token until that expires.

    Asked for under the lock only: of two threads that come here first at once, each would be given one of its own.
    """
    return Credentials(
        None, refresh_token=refresh_token, token_uri=token_uri, client_id=client_id, client_secret=client_secret
    )
