"""MongoDB's roles for this ledger: who may do what to which collection, as far as the server can tell (ADR 0015).

A role knows collections and actions; it knows neither fields nor what a document was before. Nobody here may write past
a validator; the migrator, who makes them, may change them (collMod). What the application has no right to do to the
ledger, no defect of it and no stolen password of it can do.
"""

from typing import Any

from django.apps import apps
from django.db.models import Model
from pymongo.errors import OperationFailure

from accounts.models import Account
from ledger_project.mongo import Document, database
from transactions.models import LedgerRow

APPLICATION, MIGRATOR, AUDITOR, BACKUP = ROLES = (
    "ledger_application",
    "ledger_migrator",
    "ledger_auditor",
    "ledger_backup",
)
APPEND = ["insert"]
KEEP = ["insert", "update"]
WRITE = ["insert", "update", "remove"]
LOOK_AROUND = ["listCollections", "listIndexes"]
# In every collection: an aggregation that begins with none (Unit.join) can be granted no other way.
READ = ["find", *LOOK_AROUND]
STRUCTURE = ["collMod", "createCollection", "createIndex", "dropIndex"]
# Written by migrations and imports, read by everybody.
OF_MIGRATIONS = ("django_migrations", "django_content_type", "auth_permission", "imports")
WITHOUT_MODEL = ("audit_cursor", "canary", "roll_ups")
# Besides the ledger's own rows: what an auditor reads. No password, no second factor, no session is among it.
ALSO_AUDITED = ("accounts", "audit_log", "imports", "verifications")
ROLE_NOT_FOUND = 31


def definitions(name: str) -> dict[str, Document]:
    """The roles of the database `name`, each with its privileges and the roles that it includes.

    Made from the models of this release, so that a migrator has its rights before the collections are there.
    """
    models = collections()
    ours = {c: _written(model) for c, model in models.items() if c not in OF_MIGRATIONS}
    audited = [c for c, model in models.items() if c in ALSO_AUDITED or (model and issubclass(model, LedgerRow))]
    cleared_up = [*OF_MIGRATIONS, *(collection for collection, actions in ours.items() if "remove" in actions)]
    return {
        APPLICATION: _role(name, {"": READ} | ours),
        # Besides what the application may: new collections, indexes, validators; and to clear up what holds no money.
        MIGRATOR: _role(
            name,
            {"": [*APPEND, *STRUCTURE]} | {c: [*WRITE, "dropCollection"] for c in cleared_up},
            APPLICATION,
        ),
        AUDITOR: _role(name, {"": LOOK_AROUND} | {c: ["find"] for c in audited}),
        BACKUP: _role(name, {"": READ}),
    }


def create_roles() -> list[str]:
    """Create the roles in the ledger's database, or bring them up to date; their names.

    Again, or twice at once, is as good as once. Raises PyMongoError: who is logged in may not create roles, above all.
    """
    for role, definition in definitions(database().name).items():
        try:
            database().command("updateRole", role, **definition)
        except OperationFailure as error:
            if error.code != ROLE_NOT_FOUND:
                raise
            database().command("createRole", role, **definition)
    return list(ROLES)


def collections() -> dict[str, type[Model] | None]:
    """Every collection with the model of its rows."""
    found: dict[str, Any] = {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}
    return found | dict.fromkeys((*OF_MIGRATIONS, *WITHOUT_MODEL))


def _written(model: type[Model] | None) -> list[str]:
    """How the application writes the rows of `model`."""
    if model is None:
        return WRITE
    if getattr(model, "append_only", False):
        return APPEND
    return KEEP if issubclass(model, (LedgerRow, Account)) else WRITE


def _role(name: str, actions: dict[str, list[str]], *included: str) -> Document:
    privileges = [
        {"resource": {"db": name, "collection": collection}, "actions": allowed}
        for collection, allowed in actions.items()
    ]
    return {"privileges": privileges, "roles": list(included)}
