"""Staff's pages for users, groups and the blacklist."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from pymongo.errors import DuplicateKeyError
from unfold.decorators import action, display
from unfold.forms import AdminOwnPasswordChangeForm, AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextInputWidget

from ledger_project.admin import LedgerModelAdmin, ReadOnlyAdmin, moment, related_link
from ledger_project.mongo import Unit, run_transaction
from ledger_project.reasons import ReasonForm, dialog, leave
from users import audit_admin, outbox_admin  # noqa: F401  (importing registers them)
from users.api_sessions import sessions_of
from users.managers import UserManager
from users.models import AuditEntry, BlacklistedToken, Notification, Session, User
from users.passwords import store_password
from users.staff import acting, named_id, named_ids
from users.tokens import revoke_tokens, revoke_tokens_in

FOR_SUPERUSERS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.unregister(Group)


class _UniqueEmail(forms.ModelForm):
    def clean_email(self) -> str:
        """Normalised before Django asks whether another user has it, so that case hides no duplicate."""
        return UserManager.normalize_email(self.cleaned_data["email"])


class NewUserForm(_UniqueEmail, UserCreationForm):
    """E-mail, name and password."""

    class Meta:
        model = User
        fields = ("email", "name")
        widgets: ClassVar[dict] = {"email": UnfoldAdminEmailInputWidget, "name": UnfoldAdminTextInputWidget}


class EditUserForm(_UniqueEmail, UserChangeForm):
    """A user without its password, which has a page of its own."""

    class Meta:
        model = User
        fields = ("email", "name", "is_active", *FOR_SUPERUSERS)


class _EndsWhatTheOldOneBegan:
    """A form for a new password."""

    def save(self, commit: bool = True) -> User:
        """Store it and end all tokens and sessions, both or neither; it is hashed before that begins."""
        user = super().save(commit=False)  # type: ignore[misc]
        if commit:
            store_password(user)
        return user


class NewPasswordForm(_EndsWhatTheOldOneBegan, AdminPasswordChangeForm):
    """A new password for any user."""


class OwnPasswordForm(_EndsWhatTheOldOneBegan, AdminOwnPasswordChangeForm):
    """A new password for oneself. Django then begins the session in which it was set anew."""


@admin.register(User)
class UserAdmin(LedgerModelAdmin, DjangoUserAdmin):
    """Users are disabled, not deleted: the ledger refers to them."""

    form = EditUserForm
    add_form = NewUserForm
    change_password_form = NewPasswordForm
    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "email",
        "name",
        "is_active",
        "is_staff",
        "is_superuser",
        "is_system",
        "created_at",
        "last_login",
    )
    list_display = ("email", "name", "is_active", "is_staff", "is_system", "created")
    list_filter = ("is_active", "is_staff", "is_superuser", "is_system")
    search_help_text = "E-mail, user id or the beginning of a name"
    readonly_fields = ("is_system", "seen", "sessions", "api_sessions", "created", "updated", "related_lists")
    actions_detail = ("revoke_this",)
    see_also: ClassVar[list[type[Model]]] = []
    fieldsets = (
        (None, {"fields": ("email", "name", "password", "related_lists")}),
        ("What it may do", {"fields": ("is_active", *FOR_SUPERUSERS, "is_system")}),
        ("Sessions", {"fields": (("seen", "sessions"), "api_sessions")}),
        ("Dates", {"fields": (("created", "updated"),)}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),)
    created = moment("created_at", "created")
    updated = moment("updated_at", "updated")
    seen = moment("last_login", "last log-in here")

    def search(self, queryset: QuerySet[User], term: str) -> QuerySet[User]:
        """By id, by e-mail or by name."""
        return queryset.filter(pk__in=named_ids(term))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Only a superuser hands out power, or nobody could be kept from having all of it."""
        return self.readonly_fields if acting(request).is_superuser else (*self.readonly_fields, *FOR_SUPERUSERS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Only a superuser changes staff and system users: whoever sets their password or e-mail can be them."""
        allowed = super().has_change_permission(request, obj)
        powerful = obj is not None and (obj.is_staff or obj.is_superuser or obj.is_system)
        return allowed and (acting(request).is_superuser or not powerful)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody."""
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        """Whoever may change this user."""
        return self.has_change_permission(request, self.get_object(request, object_id) if object_id else None)

    @action(
        description="Revoke all tokens",
        permissions=["revoke"],
        icon="key_off",
        dialog=dialog(
            "Revoke all tokens", "Every token of this user is refused from now on, and every staff session ends."
        ),
    )
    def revoke_this(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Log the user out everywhere."""
        user = self.get_object(request, object_id)
        if user is None:
            raise Http404
        revoke_tokens(user=user, reason=form.cleaned_data["reason"])
        self.log_change(request, user, f"All tokens revoked: {form.cleaned_data['reason']}")
        self.message_user(request, f"{user} is logged out everywhere.", messages.SUCCESS)
        return leave(request, reverse("admin:users_user_change", args=[object_id]))

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """As Django does; and who is disabled does not get back in with an old token when enabled again."""
        save = super().save_model

        def disable(unit: Unit) -> None:
            save(request, obj, form, change)
            revoke_tokens_in(unit, user=obj, reason="Disabled")

        if change and "is_active" in form.changed_data and not obj.is_active:
            run_transaction(disable)
        else:
            save(request, obj, form, change)

    @display(description="staff sessions")
    def sessions(self, user: User) -> str:
        """How many there are in the admin, and until when; not their keys, for these are as good as passwords."""
        ends = sorted(Session.objects.filter(user=user, expire_date__gt=timezone.now()).values_list("expire_date"))
        return f"{len(ends)}, the last until {_to_the_minute(ends[-1][0])}" if ends else "none"

    @display(description="API sessions")
    def api_sessions(self, user: User) -> SafeString | str:
        """As the user sees them: from which device and network, and when each was last used."""
        rows = (
            (each.user_agent or "Unknown device", each.address or "an unknown network", _to_the_minute(each.used_at))
            for each in sessions_of(user, current=None)
        )
        return format_html_join("", '<p class="mb-2"><b>{}</b><br>from {}, last used {}</p>', rows) or "none"

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form; when another request took the e-mail after the form had looked, word of that."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except (IntegrityError, DuplicateKeyError):
            self.message_user(request, "User with this Email already exists.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


def _to_the_minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} (UTC)"


@admin.register(Group)
class GroupAdmin(LedgerModelAdmin, DjangoGroupAdmin):
    """Sets of permissions. Only superusers change them: whoever adds to their own group adds to themselves."""

    export_columns: ClassVar[tuple[str, ...]] = ("pk", "name", "permissions")
    search_help_text = "The name of a group"
    ordering = ("name",)

    def search(self, queryset: QuerySet[Group], term: str) -> QuerySet[Group]:
        """By name."""
        return queryset.filter(name=term)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers."""
        return acting(request).is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Superusers."""
        return acting(request).is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Superusers."""
        return acting(request).is_superuser


@admin.register(BlacklistedToken)
class BlacklistedTokenAdmin(ReadOnlyAdmin):
    """Tokens that were logged out, until they expire."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "user_id",
        "created_at",
        "expires_at",
    )
    list_display = ("jti", "owner", "created", "expires")
    list_related = page_related = ("user",)
    ordering = ("-expires_at",)  # its ids are random; this has an index, and is the order of log-in
    search_help_text = "Token id (jti), e-mail or user id"
    fields = ("jti", "owner", "created", "expires")
    created = moment("created_at", "logged out")
    expires = moment("expires_at", "expires")

    def search(self, queryset: QuerySet[BlacklistedToken], term: str) -> QuerySet[BlacklistedToken]:
        """Its own id, or its user."""
        key = named_id(term)
        return queryset.filter(Q(pk=term) | Q(user=key)) if key else queryset.filter(pk=term)

    @display(description="user")
    def owner(self, token: BlacklistedToken) -> SafeString:
        """Whose it was."""
        return related_link(token, "user")


UserAdmin.see_also += [Notification, BlacklistedToken, AuditEntry]
