from django.contrib import admin
from django.urls import path

from office import second_factor_views as second_factor
from office.views import own_password, statement_file

urlpatterns = [
    path("second-factor/", second_factor.challenge, name="second-factor"),
    path("second-factor/manage/", second_factor.manage, name="second-factor-manage"),
    path("second-factor/enrol/", second_factor.enrol, name="second-factor-enrol"),
    path("second-factor/codes/", second_factor.new_codes, name="second-factor-codes"),
    path("second-factor/off/", second_factor.switch_off, name="second-factor-off"),
    path("password_change/", admin.site.admin_view(own_password), name="own-password"),
    path(
        "accounts/account/<str:account_id>/statement/",
        admin.site.admin_view(statement_file),
        name="account-statement-file",
    ),
]
