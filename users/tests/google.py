"""Google on loopback: a token endpoint, and a mail server that speaks STARTTLS and AUTH XOAUTH2."""

import base64
import datetime
import ipaddress
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs

from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from users.tests.mail_server import MailServer


class TokenEndpoint:
    """Hands out token-1, token-2, …; `requests` keeps what was asked. `refuses` makes it say invalid_grant."""

    def __init__(self, *, expires_in: int = 3600) -> None:
        self.expires_in = expires_in
        self.refuses = False
        self.requests: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                status, answer = endpoint.answer({name: values[0] for name, values in parse_qs(body).items()})
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body for one request."""
        self.requests.append(asked)
        if self.refuses:
            return 400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        token = f"token-{len(self.requests)}"
        return 200, {"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"}


class GmailServer(MailServer):
    """Accepts mail only over TLS and only from who signed in by XOAUTH2, with a token that is not in `revoked`."""

    def __init__(self, certificate: Path, *, user: str) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        super().__init__(
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
        )
        self.user = user
        self.revoked: set[str] = set()
        self.signed_in_with: list[str] = []

    async def auth_XOAUTH2(self, server: Any, args: list[str]) -> AuthResult:  # noqa: N802  (aiosmtpd's name)
        user, token, *end = base64.b64decode(args[1]).decode().split("\1")
        token = token.removeprefix("auth=Bearer ")
        if user != f"user={self.user}" or end != ["", ""] or token in self.revoked or not token.startswith("token-"):
            # As Gmail does: the reason as a challenge, an empty answer to it, and only then the refusal.
            await server.challenge_auth(b'{"status":"400"}')
            return AuthResult(success=False, handled=False)
        self.signed_in_with.append(token)
        return AuthResult(success=True)


def make_certificate(path: Path) -> Path:
    """Write a key and its self-signed certificate for 127.0.0.1 to `path`, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
