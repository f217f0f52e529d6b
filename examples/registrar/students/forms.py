"""Forms. They meet the inner fields: nothing in here knows of encryption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from students.models import Student

if TYPE_CHECKING:
    StudentForm = forms.ModelForm[Student]
else:
    StudentForm = forms.ModelForm

MEGABYTE = 1024 * 1024
LARGEST = 20 * MEGABYTE


class Enrolment(StudentForm):
    """A new student."""

    class Meta:
        model = Student
        fields = ("name", "ssn", "note")
        widgets: ClassVar[dict[str, Any]] = {
            "ssn": forms.TextInput(attrs={"placeholder": "987-65-4320", "autocomplete": "off", "inputmode": "numeric"}),
            "note": forms.Textarea(attrs={"rows": 3}),
        }


class Upload(forms.Form):
    """A document."""

    scan = forms.FileField(label="a document")

    def clean_scan(self) -> object:
        """No larger than what the site takes."""
        scan = self.cleaned_data["scan"]
        if scan.size > LARGEST:
            raise forms.ValidationError(f"At most {LARGEST // MEGABYTE} MB.")
        return scan


class Search(forms.Form):
    """Who has this number?"""

    ssn = forms.CharField(label="Social security number", max_length=11)
