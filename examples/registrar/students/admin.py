"""The admin. A search by number goes by the blind index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from strongroom.django.admin import SealedAdmin
from students.models import Document, Student

if TYPE_CHECKING:
    Inline = admin.TabularInline[Document, Student]
else:
    Inline = admin.TabularInline


class Documents(Inline):
    """A student's documents, on his page."""

    model = Document
    extra = 0


@admin.register(Student)
class StudentAdmin(SealedAdmin):
    """Students."""

    list_display = ("name", "ssn")
    search_fields = ("name", "ssn__exact")
    inlines = (Documents,)
