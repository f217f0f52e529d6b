"""Encrypted columns in Django's admin: a list that still opens where a cell does not, and says which one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.utils import display_for_field
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html

from strongroom.django.encrypted import encrypted_fields
from strongroom.errors import StrongroomError

if TYPE_CHECKING:
    _Base = admin.ModelAdmin[models.Model]
else:
    _Base = admin.ModelAdmin


class _Shown:
    """A column of the list that shows a field's value, or why its cell does not open."""

    def __init__(self, field: Any, empty: Any) -> None:
        self.field = field
        self.empty = empty
        self.__name__ = field.name
        self.short_description = field.verbose_name  # the names are Django's

    def opens(self, row: models.Model) -> bool:
        """Whether the row has a value there."""
        try:
            getattr(row, self.field.attname)
        except StrongroomError:
            return False
        return True

    def __call__(self, row: models.Model) -> Any:
        try:
            value = getattr(row, self.field.attname)
        except StrongroomError as error:
            return format_html('<span class="errors" title="{}">does not open: {}</span>', error.hint, str(error))
        choices = dict(self.field.flatchoices)
        return choices[value] if value in choices else display_for_field(value, self.field, self.empty)


class SealedAdmin(_Base):
    """A ModelAdmin, or a mixin before one, for models with encrypted fields.

    Its list shows a broken cell as such, is not sorted by encrypted columns, and a row whose cell does not open is not
    offered for change: its page would have to show what nobody can read.
    """

    def get_list_display(self, request: HttpRequest) -> Any:
        """The columns, encrypted ones wrapped."""
        shown = self._shown()
        return [shown.get(each, each) for each in super().get_list_display(request)]

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        """The same, for columns that link to their row."""
        links = super().get_list_display_links(request, list_display)
        by_name = {each.__name__: each for each in list_display if isinstance(each, _Shown)}
        return None if links is None else [by_name.get(each, each) for each in links]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list; its encrypted columns are for editing where `list_editable` says so and all their cells open."""
        changelist: Any = super().get_changelist_instance(request)
        names = set(changelist.list_editable)
        editable = [each for each in changelist.list_display if isinstance(each, _Shown) and each.__name__ in names]
        closed = [each for each in editable if not all(map(each.opens, changelist.result_list))]
        if closed:  # a form wants every value
            changelist.list_editable = ()
            listed = ", ".join(str(each.short_description) for each in closed)
            self.message_user(request, f"This list is not for editing: cells of {listed} do not open", messages.WARNING)
        else:
            changelist.list_display = [each.__name__ if each in editable else each for each in changelist.list_display]
        return changelist

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The list; without what was searched for where that cannot be looked up, with the reason."""
        try:
            return super().changelist_view(request, *args, **kwargs)
        except StrongroomError as error:
            if not request.GET:
                raise
            return self._to_the_list(request, error)

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page of a new row; back to the list, with the reason, where nothing can be encrypted now."""
        try:
            return super().add_view(request, *args, **kwargs)
        except StrongroomError as error:
            return self._to_the_list(request, error)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page of a row; back to the list, with the reason, where a cell of it does not open."""
        try:
            return super().change_view(request, object_id, *args, **kwargs)
        except StrongroomError as error:
            return self._to_the_list(request, error)

    def _to_the_list(self, request: HttpRequest, error: StrongroomError) -> HttpResponse:
        self.message_user(request, f"{error} ({error.hint})" if error.hint else str(error), messages.ERROR)
        meta = self.model._meta
        page = f"{self.admin_site.name}:{meta.app_label}_{meta.model_name}_changelist"
        return HttpResponseRedirect(reverse(page))

    def _shown(self) -> dict[Any, _Shown]:
        fields = [field for model in (self.model, *self.model._meta.all_parents) for field in encrypted_fields(model)]
        return {field.name: _Shown(field, self.get_empty_value_display()) for field in fields}
