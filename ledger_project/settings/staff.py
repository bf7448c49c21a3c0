"""How the staff's admin looks and what its sidebar leads to: django-unfold's settings."""

from django.templatetags.static import static
from django.urls import reverse_lazy


def _page(title: str, icon: str, model: str) -> dict:
    """A line of the admin's sidebar: the list of `model` ("app.name"), for those who may see it."""
    app, name = model.split(".")
    permissions = (f"{app}.view_{name}", f"{app}.change_{name}")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": lambda request: any(map(request.user.has_perm, permissions)),
    }


def unfold(site_name: str) -> dict:
    """UNFOLD, for a site of that name."""
    return {
        "SITE_TITLE": site_name,
        "SITE_HEADER": site_name,
        "SITE_SYMBOL": "account_balance",
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/favicon.svg"}],
        "SITE_URL": "/",
        "LOGIN": {"form": "office.lockout.LoginForm"},
        "STYLES": [lambda request: static("office.css")],
        # The page's and the console's green (templates/static/design.css), light to dark.
        "COLORS": {
            "primary": {
                "50": "#f1f8f4",
                "100": "#e0f0e7",
                "200": "#bfe0cf",
                "300": "#98d6b7",
                "400": "#74d5a5",
                "500": "#35a06e",
                "600": "#14573a",
                "700": "#0f4a30",
                "800": "#0d4029",
                "900": "#0a3120",
                "950": "#06251a",
            },
            "base": {
                "50": "#f6f7f4",
                "100": "#eff1ec",
                "200": "#dfe4dd",
                "300": "#c6cec6",
                "400": "#9baba2",
                "500": "#66746c",
                "600": "#4a5750",
                "700": "#37423c",
                "800": "#26302b",
                "900": "#151b18",
                "950": "#0d1210",
            },
        },
        "ACCOUNT": {"navigation": [{"title": "Two-factor log-in", "link": reverse_lazy("second-factor-manage")}]},
        "DASHBOARD_CALLBACK": "office.index.dashboard_callback",
        "SIDEBAR": {
            "navigation": [
                {"items": [{"title": "Dashboard", "icon": "monitoring", "link": reverse_lazy("admin:index")}]},
                {
                    "title": "Ledger",
                    "items": [
                        _page("Accounts", "account_balance_wallet", "accounts.account"),
                        _page("Transactions", "swap_horiz", "transactions.transaction"),
                        _page("Entries", "receipt_long", "transactions.entry"),
                        _page("Approvals", "approval", "transactions.approvalrequest"),
                        _page("Findings", "report", "transactions.ledgerfinding"),
                        _page("Anchors", "anchor", "transactions.anchor"),
                    ],
                },
                {
                    "title": "People",
                    "items": [
                        _page("Users", "person", "users.user"),
                        _page("Groups", "group", "auth.group"),
                        _page("Notifications", "mail", "users.notification"),
                        _page("Blacklisted tokens", "key_off", "users.blacklistedtoken"),
                        _page("Audit log", "history", "users.auditentry"),
                    ],
                },
            ],
        },
    }
