from django.contrib import admin
from django.urls import path

from office.views import statement_file

urlpatterns = [
    path(
        "accounts/account/<str:account_id>/statement/",
        admin.site.admin_view(statement_file),
        name="account-statement-file",
    ),
]
