"""Settings for one's own machine: what `make run` starts. Every default is safe on loopback and nowhere else."""

import os
import secrets
from contextlib import suppress

from ledger_project.embedded import running

from .base import *
from .base import DATA_DIR, LIMITS, env, logging_config, mongodb, redis_cache, simple_jwt, throttles
from .email import email_settings

ENVIRONMENT = "local"
DEMO = True


def _kept_secret() -> str:
    """A random secret, made once and kept in the data folder: tokens outlive a restart, and no default exists."""
    DATA_DIR.mkdir(parents=True, exist_ok=True)
    kept = DATA_DIR / "secret_key"
    if not kept.exists():
        fresh = DATA_DIR / f"secret_key.{os.getpid()}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(64))
        with suppress(FileExistsError):  # another process was first, and its secret is whole
            kept.hardlink_to(fresh)
        fresh.unlink()
    return kept.read_text()


SECRET_KEY = env.str("SECRET_KEY", default="") or _kept_secret()
SIMPLE_JWT = simple_jwt(env.str("JWT_SIGNING_KEY", default="") or SECRET_KEY)

# Another terminal's `make run` leaves word of its embedded servers; without it, the usual ports.
_servers = running(DATA_DIR)
DATABASES = {
    "default": mongodb(env.str("MONGODB_URI", default=_servers.get("MONGODB_URI", "mongodb://127.0.0.1:27017/")))
}
REDIS_URL = env.str("REDIS_URL", default=_servers.get("REDIS_URL", "redis://127.0.0.1:6379/0"))
CACHES = redis_cache(REDIS_URL)
# Everybody here has one address.
THROTTLES = throttles(**LIMITS | {"anonymous": "12000/60", "login": "600/60", "register": "600/60"})

vars().update(email_settings(default="file"))
LOGGING = logging_config(env.str("LOG_FORMAT", default="text"))

STATIC_ROOT = None  # type: ignore[assignment]
WHITENOISE_USE_FINDERS = True  # static files straight from the source, no collectstatic

# The embedded server ends a transaction after 5 seconds, and one machine has one clock.
ROLL_UP_SECONDS = env.float("ROLL_UP_SECONDS", default=5.0)
ROLL_UP_LAG_SECONDS = env.float("ROLL_UP_LAG_SECONDS", default=10.0)
