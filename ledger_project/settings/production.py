"""Settings for production: everything that matters comes from the environment, and nothing starts without it."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from .base import *
from .base import METRICS_TOKEN, env, logging_config, mongodb, redis_cache, simple_jwt
from .email import email_settings

ENVIRONMENT = "production"
WEAK = ("changeme", "secret", "password", "insecure", "example", "only-for-tests", "django-")


def _strong_secret(name: str) -> str:
    """The secret in variable `name`. Raises ImproperlyConfigured when it is missing, short, or a well-known phrase."""
    value = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: production does not start without it")
    if len(value) < 50 or len(set(value)) < 16 or any(phrase in value.lower() for phrase in WEAK):
        raise ImproperlyConfigured(f"{name} is weak: use at least 50 random characters")
    return value


def _required(name: str) -> str:
    value = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: production does not start without it")
    return value


def _replica_set(uri: str) -> str:
    """`uri`, if it names a replica set. A standalone server has no transactions; checks.py asks it as well."""
    if not uri.startswith("mongodb+srv://") and "replicaset=" not in urlsplit(uri).query.lower():
        raise ImproperlyConfigured("MONGODB_URI names no replicaSet: MongoDB has transactions only on a replica set")
    return uri


if env.bool("DEBUG", default=False):
    raise ImproperlyConfigured("DEBUG is set: it shows secrets to anyone, and production does not start with it")

SECRET_KEY = _strong_secret("SECRET_KEY")
SIMPLE_JWT = simple_jwt(_strong_secret("JWT_SIGNING_KEY"))
if SIMPLE_JWT["SIGNING_KEY"] == SECRET_KEY:
    raise ImproperlyConfigured("JWT_SIGNING_KEY equals SECRET_KEY: one leak would open both doors")
if METRICS_TOKEN:
    _strong_secret("METRICS_TOKEN")
ALLOWED_HOSTS = [host for host in _required("ALLOWED_HOSTS").split(",") if host]
if not ALLOWED_HOSTS or "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured("ALLOWED_HOSTS lets every host in, or none: name the ones that are yours")
# Whoever asks cannot choose it: a link that leads to a host of the asker's would hand the secret over.
PUBLIC_URL = (env.str("PUBLIC_URL", default="") or f"https://{ALLOWED_HOSTS[0].lstrip('.')}").rstrip("/")
if urlsplit(PUBLIC_URL).scheme != "https":
    raise ImproperlyConfigured("PUBLIC_URL is not https: links that set passwords would travel in the clear")
DATABASES = {"default": mongodb(_replica_set(_required("MONGODB_URI")))}
REDIS_URL = _required("REDIS_URL")
# base.py reads it. Forgotten behind a proxy, the whole world is one address: ten log-ins a minute shut out everybody.
_required("TRUSTED_PROXIES")
CACHES = redis_cache(REDIS_URL)
vars().update(email_settings(default=_required("EMAIL_PROVIDER")))
LOGGING = logging_config(env.str("LOG_FORMAT", default="json"))

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "ledger_project.static_storage.StaticStorage"},
}

# TLS ends at the proxy in front, which says so in this header and must strip it from what clients send.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz/?$", r"^readyz/?$", r"^metrics/?$"]  # asked by probes from inside
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SECOND_FACTOR_REQUIRED = env.bool("SECOND_FACTOR_REQUIRED", default=True)
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
