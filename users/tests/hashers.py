from django.contrib.auth.hashers import BCryptSHA256PasswordHasher


class CheapBCrypt(BCryptSHA256PasswordHasher):
    """The real hasher at the lowest cost, so that a test spends its time on what it tests."""

    algorithm = "bcrypt_sha256_cheap"
    rounds = 4
