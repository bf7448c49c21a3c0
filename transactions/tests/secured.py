"""A mongod of one's own as in production: authentication on, TLS only. For the tests of roles."""

import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from ledger_project.embedded import Mongo

ADMINISTRATOR = "administrator"
DATABASE = "ledger"
Client = MongoClient[dict[str, Any]]


class SecuredMongo(Mongo):
    """`uri_of(user)` is the connection string for a user; the administrator is there when it has started."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.passwords = {ADMINISTRATOR: secrets.token_hex(8)}
        self.certificate = self.directory / "certificate.pem"
        self.certificate.write_bytes(_certificate())
        self.key_file = self.directory / "key"
        self.key_file.write_text(secrets.token_hex(32))
        self.key_file.chmod(0o400)

    def command(self) -> list[str]:
        return [
            *super().command(),
            *("--auth", "--keyFile", str(self.key_file)),
            *("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(self.certificate)),
            *("--tlsCAFile", str(self.certificate), "--tlsAllowConnectionsWithoutCertificates"),
        ]

    def uri_of(self, user: str) -> str:
        """The connection string of `user`."""
        source = "admin" if user == ADMINISTRATOR else DATABASE
        return (
            f"mongodb://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/{DATABASE}"
            f"?replicaSet=ledger&authSource={source}&tls=true&tlsCAFile={self.certificate}"
        )

    def answers(self) -> bool:
        """Whether it is a primary that has its administrator, who is made while nobody is there, from this machine."""
        options: dict[str, Any] = {"directConnection": True, "serverSelectionTimeoutMS": 500}
        with Client("127.0.0.1", self.port, tls=True, tlsCAFile=str(self.certificate), **options) as nobody:
            try:
                if not nobody.admin.command("hello").get("isWritablePrimary"):
                    with suppress(OperationFailure):
                        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                        nobody.admin.command("replSetInitiate", {"_id": "ledger", "members": [member]})
                    return False
                nobody.admin.command("createUser", ADMINISTRATOR, pwd=self.passwords[ADMINISTRATOR], roles=["root"])
            except PyMongoError:
                return False
        return True

    def create_user(self, name: str, *roles: str) -> None:
        """A user of the ledger's database."""
        self.passwords[name] = secrets.token_hex(8)
        with Client(self.uri_of(ADMINISTRATOR)) as administrator:
            administrator[DATABASE].command("createUser", name, pwd=self.passwords[name], roles=list(roles))


def _certificate() -> bytes:
    """A certificate for 127.0.0.1 that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8
    return certificate.public_bytes(encoding) + key.private_bytes(encoding, private, serialization.NoEncryption())
