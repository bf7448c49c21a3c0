from ledger_project.hashing import BoundedBCrypt


class CheapBCrypt(BoundedBCrypt):
    """The real hasher at the lowest cost, so that a test spends its time on what it tests."""

    algorithm = "bcrypt_sha256_cheap"
    rounds = 4
