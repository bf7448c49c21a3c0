"""Which way e-mail leaves, chosen by EMAIL_PROVIDER; each provider's credentials come from its own variables."""

from collections.abc import Callable
from email.utils import formataddr
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from .base import DATA_DIR, EMAIL_TIMEOUT, SITE_NAME, env

# EMAIL_PROVIDER -> the variables it needs; anymail's settings have the same names.
ANYMAIL_PROVIDERS: dict[str, tuple[str, ...]] = {
    "amazon_ses": (),  # credentials and region the way boto3 finds them
    "brevo": ("BREVO_API_KEY",),
    "mailersend": ("MAILERSEND_API_TOKEN",),
    "mailgun": ("MAILGUN_API_KEY", "MAILGUN_SENDER_DOMAIN"),
    "mailjet": ("MAILJET_API_KEY", "MAILJET_SECRET_KEY"),
    "mailtrap": ("MAILTRAP_API_TOKEN",),
    "mandrill": ("MANDRILL_API_KEY",),
    "postal": ("POSTAL_API_KEY", "POSTAL_API_URL"),
    "postmark": ("POSTMARK_SERVER_TOKEN",),
    "resend": ("RESEND_API_KEY",),
    "scaleway": ("SCALEWAY_SECRET_KEY", "SCALEWAY_PROJECT_ID"),
    "sendgrid": ("SENDGRID_API_KEY",),
    "sparkpost": ("SPARKPOST_API_KEY",),
    "unisender_go": ("UNISENDER_GO_API_KEY", "UNISENDER_GO_API_URL"),
}


def email_settings(*, default: str) -> dict[str, Any]:
    """Django's and anymail's settings for the provider named in EMAIL_PROVIDER, `default` when none is named.

    `file` writes messages under the data folder; `smtp` and `gmail` speak SMTP; the rest go through anymail. Raises
    ImproperlyConfigured for a provider that is unknown, and for a variable that it needs and that is missing or empty.
    """
    provider = env.str("EMAIL_PROVIDER", default="") or default
    if provider in OWN_PROVIDERS:
        chosen = OWN_PROVIDERS[provider]()
    elif provider in ANYMAIL_PROVIDERS:
        chosen = _anymail(provider)
    else:
        known = ", ".join([*OWN_PROVIDERS, *ANYMAIL_PROVIDERS])
        raise ImproperlyConfigured(f"EMAIL_PROVIDER={provider!r} is not one of: {known}")
    return {
        "EMAIL_PROVIDER": provider,
        "DEFAULT_FROM_EMAIL": _sender(),
        **chosen,
    }


def _sender() -> str:
    """DEFAULT_FROM_EMAIL, or else EMAIL_USER under the site's name, as in the seed."""
    address = env.str("EMAIL_USER", default="") or "ledger@localhost"
    return env.str("DEFAULT_FROM_EMAIL", default="") or formataddr((SITE_NAME, address))


def _file() -> dict[str, Any]:
    return {
        "EMAIL_BACKEND": "users.mail_files.EmailBackend",
        "EMAIL_FILE_PATH": str(DATA_DIR / "mail"),
    }


def _smtp() -> dict[str, Any]:
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": env.str("EMAIL_HOST", default="127.0.0.1"),
        "EMAIL_PORT": env.int("EMAIL_PORT", default=25),
        "EMAIL_HOST_USER": env.str("EMAIL_HOST_USER", default=""),
        "EMAIL_HOST_PASSWORD": env.str("EMAIL_HOST_PASSWORD", default=""),
        "EMAIL_USE_TLS": env.bool("EMAIL_USE_TLS", default=False),
        "EMAIL_USE_SSL": env.bool("EMAIL_USE_SSL", default=False),
    }


def _gmail() -> dict[str, Any]:
    """Gmail by OAuth2, under the seed's names. TLS is not a choice: the access token would travel in the clear."""
    return {
        "EMAIL_BACKEND": "users.gmail.EmailBackend",
        "EMAIL_HOST": env.str("EMAIL_HOST", default="smtp.gmail.com"),
        "EMAIL_PORT": env.int("EMAIL_PORT", default=587),
        "EMAIL_USE_TLS": True,
        "GMAIL": {
            "user": _needed("EMAIL_USER", "gmail"),
            "client_id": _needed("CLIENT_ID", "gmail"),
            "client_secret": _needed("CLIENT_SECRET", "gmail"),
            "refresh_token": _needed("REFRESH_TOKEN", "gmail"),
            "token_uri": env.str("GMAIL_TOKEN_URI", default="https://oauth2.googleapis.com/token"),
        },
    }


def _anymail(provider: str) -> dict[str, Any]:
    """The provider's credentials, and its API's URL where it is not the usual one (Mailgun and SparkPost in the EU)."""
    values = {name: _needed(name, provider) for name in ANYMAIL_PROVIDERS[provider]}
    url_name = f"{provider.upper()}_API_URL"
    url = env.str(url_name, default="")
    return {
        "EMAIL_BACKEND": f"anymail.backends.{provider}.EmailBackend",
        "ANYMAIL": {**values, **({url_name: url} if url else {}), "REQUESTS_TIMEOUT": EMAIL_TIMEOUT},
    }


def _needed(name: str, provider: str) -> str:
    value = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: EMAIL_PROVIDER={provider} needs it")
    return value


OWN_PROVIDERS: dict[str, Callable[[], dict[str, Any]]] = {"file": _file, "smtp": _smtp, "gmail": _gmail}
