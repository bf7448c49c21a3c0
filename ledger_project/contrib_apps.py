"""Apps of others with ObjectId primary keys, the only kind that MongoDB gives out by itself."""

from axes.apps import AppConfig as AxesConfig
from django.contrib.admin.apps import AdminConfig
from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig
from django_otp.plugins.otp_static.apps import DefaultConfig as StaticConfig
from django_otp.plugins.otp_totp.apps import DefaultConfig as TotpConfig

OBJECT_ID = "django_mongodb_backend.fields.ObjectIdAutoField"


class MongoAdminConfig(AdminConfig):
    """django.contrib.admin on ObjectIds."""

    default_auto_field = OBJECT_ID


class MongoAuthConfig(AuthConfig):
    """django.contrib.auth on ObjectIds."""

    default_auto_field = OBJECT_ID
    verbose_name = "People"  # as the users' app: its groups stand beside them


class MongoContentTypesConfig(ContentTypesConfig):
    """django.contrib.contenttypes on ObjectIds."""

    default_auto_field = OBJECT_ID


class MongoTotpConfig(TotpConfig):
    """django_otp's TOTP devices on ObjectIds."""

    default_auto_field = OBJECT_ID


class MongoStaticConfig(StaticConfig):
    """django_otp's recovery codes on ObjectIds."""

    default_auto_field = OBJECT_ID


class MongoAxesConfig(AxesConfig):
    """axes, which counts in the cache: it has models, but no collections."""

    default_auto_field = OBJECT_ID
