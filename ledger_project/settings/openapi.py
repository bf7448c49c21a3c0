"""What the OpenAPI document says of the whole API, and how it is made: drf-spectacular's settings."""

SPECTACULAR_SETTINGS = {
    "TITLE": "Backend Ledger",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": (
        "A double-entry ledger: users open accounts and move money between them, each transfer once and all or "
        "nothing.\n\n"
        "Money is a JSON number in major units (500, 10.5), exact to the last digit. Ids are 24 hex digits. Every path "
        "answers with and without its trailing slash. Every refusal is `application/problem+json` with a `message` for "
        "people and a `code` for programs; an unknown path is a 404 `not_found`, a method that a path does not "
        "have a 405 `method_not_allowed`.\n\n"
        "Answers say in `RateLimit` how many requests are left to you; a batch counts as its transfers. Past that: 429 "
        "`throttled`, with `Retry-After`."
    ),
    "TAGS": [
        {"name": "Authentication", "description": "Register, log in and out; sessions and passwords."},
        {"name": "Accounts", "description": "Open accounts, read balances and statements."},
        {"name": "Transactions", "description": "Move money, and look back."},
        {"name": "Service", "description": "For those who run it."},
    ],
    "SORT_OPERATIONS": "ledger_project.openapi.reading_order",
    "SORT_OPERATION_PARAMETERS": False,
    "ENUM_NAME_OVERRIDES": {
        "AccountStatus": "accounts.models.Account.Status",
        "TransactionStatus": "transactions.models.Transaction.Status",
        "TransactionKind": "transactions.models.Transaction.Kind",
        "EntryDirection": "transactions.models.Entry.Direction",
        "ApprovalKind": "transactions.models.ApprovalRequest.Kind",
        "ApprovalStatus": "transactions.models.ApprovalRequest.Status",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "transactions.openapi.key_may_come_in_the_header",
        "ledger_project.openapi.tidy_paths",
        "ledger_project.openapi.drop_labels",
        "ledger_project.openapi.add_what_is_shared",
    ],
}
