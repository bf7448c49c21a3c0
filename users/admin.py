"""Staff's pages for users, groups, the outbox and the blacklist."""

from typing import Any, ClassVar

from bson import ObjectId
from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import linebreaksbr
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from pymongo.collation import Collation
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminTextInputWidget

from ledger_project.admin import LedgerModelAdmin, ReadOnlyAdmin, moment, related_link
from ledger_project.mongo import database
from users import notifications
from users.managers import UserManager
from users.models import BlacklistedToken, Notification, User
from users.tasks import wake_sender

FOR_SUPERUSERS = ("is_staff", "is_superuser", "groups", "user_permissions")
NAMES = Collation(locale="en", strength=2)  # of the index `by_name`
NAMESAKES = 50

admin.site.unregister(Group)


def named_id(term: str) -> ObjectId | None:
    """The id that `term` names: itself when it is one, else that of the user with this e-mail."""
    if ObjectId.is_valid(term):
        return ObjectId(term)
    return next(iter(_with_email(User.objects.all(), term).values_list("pk", flat=True)[:1]), None)


def named_ids(term: str) -> list[ObjectId]:
    """The ids that `term` names: itself, the user with this e-mail, or the users whose name begins like this."""
    if (key := named_id(term)) is not None:
        return [key]
    # A range in the order of an index that knows no case; a regular expression would read every key of it.
    found = database()[User._meta.db_table].find({"name": {"$gte": term, "$lt": term + "\uffff"}}, {"_id": 1})
    return [user["_id"] for user in found.collation(NAMES).sort("name", 1).limit(NAMESAKES)]


def acting(request: HttpRequest) -> User:
    """Who is asking: the admin lets nobody in but users."""
    assert isinstance(request.user, User)
    return request.user


def _with_email(users: QuerySet[User], term: str) -> QuerySet[User]:
    return users.filter(email=UserManager.normalize_email(term))


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


@admin.register(User)
class UserAdmin(LedgerModelAdmin, DjangoUserAdmin):
    """Users are disabled, not deleted: the ledger refers to them."""

    form = EditUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
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
    readonly_fields = ("is_system", "seen", "created", "updated", "related_lists")
    see_also: ClassVar[list[type[Model]]] = []
    fieldsets = (
        (None, {"fields": ("email", "name", "password", "related_lists")}),
        ("What it may do", {"fields": ("is_active", *FOR_SUPERUSERS, "is_system")}),
        ("Dates", {"fields": ("seen", "created", "updated")}),
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

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form; when another request took the e-mail after the form had looked, word of that."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError:
            self.message_user(request, "User with this Email already exists.", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())


@admin.register(Group)
class GroupAdmin(LedgerModelAdmin, DjangoGroupAdmin):
    """Sets of permissions. Only superusers change them: whoever adds to their own group adds to themselves."""

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


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """The outbox: what was sent, what waits, what could not be delivered, and the text of each."""

    export_columns: ClassVar[tuple[str, ...]] = (
        "pk",
        "created_at",
        "user_id",
        "kind",
        "status",
        "attempts",
        "due_at",
        "sent_at",
        "last_error",
    )
    list_display = ("created", "kind", "recipient", "state", "attempts", "due", "last_error")
    list_filter = ("status", "kind")
    list_related = page_related = ("user",)
    search_help_text = "E-mail, user id or notification id"
    actions = ("send_again",)
    fields = (
        ("recipient", "kind"),
        ("state", "attempts"),
        ("created", "sent"),
        ("due", "last_error"),
        "preview",
    )
    created = moment("created_at", "created")
    sent = moment("sent_at", "sent")
    due = moment("due_at", "due")

    def search(self, queryset: QuerySet[Notification], term: str) -> QuerySet[Notification]:
        """Its own id, or its user."""
        key = named_id(term)
        return queryset.filter(Q(pk=key) | Q(user=key)) if key else queryset.none()

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        """Whoever may change notifications, which is all that can be changed about one."""
        return acting(request).has_perm("users.change_notification")

    @action(description="Send again", permissions=["send_again"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        """Put the chosen rows back into the queue, as new."""
        chosen = list(queryset)
        queued = Notification.objects.filter(pk__in=[row.pk for row in chosen]).update(
            status=Notification.Status.PENDING,
            attempts=0,
            due_at=timezone.now(),
            sent_at=None,  # MongoDB deletes rows some time after their sent_at
            last_error="",
        )
        wake_sender.ask()
        for notification in chosen:
            self.log_change(request, notification, "To be sent again.")
        self.message_user(request, f"Queued to be sent again: {queued}.", messages.SUCCESS)

    @display(description="to")
    def recipient(self, notification: Notification) -> SafeString:
        """Whom it is for."""
        return related_link(notification, "user")

    @display(description="status", label={"SENT": "success", "PENDING": "info", "FAILED": "danger"})
    def state(self, notification: Notification) -> str:
        """Its status, in colour."""
        return notification.status

    @display(description="message")
    def preview(self, notification: Notification) -> SafeString | str:
        """Its subject and text, as they would be sent now."""
        try:
            mail = notifications.message(notification)
        except Exception as error:  # noqa: BLE001 - what broke the message must not break the page that shows why
            return f"It cannot be rendered: {type(error).__name__}"
        return format_html("<b>{}</b><br><br>{}", mail.subject, linebreaksbr(str(mail.body), autoescape=True))


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


UserAdmin.see_also += [Notification, BlacklistedToken]
