"""Django's own apps with ObjectId primary keys, the only kind that MongoDB gives out by itself."""

from django.contrib.admin.apps import AdminConfig
from django.contrib.auth.apps import AuthConfig
from django.contrib.contenttypes.apps import ContentTypesConfig

OBJECT_ID = "django_mongodb_backend.fields.ObjectIdAutoField"


class MongoAdminConfig(AdminConfig):
    """django.contrib.admin on ObjectIds."""

    default_auto_field = OBJECT_ID


class MongoAuthConfig(AuthConfig):
    """django.contrib.auth on ObjectIds."""

    default_auto_field = OBJECT_ID


class MongoContentTypesConfig(ContentTypesConfig):
    """django.contrib.contenttypes on ObjectIds."""

    default_auto_field = OBJECT_ID
