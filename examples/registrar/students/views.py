"""Pages, and the same facts as JSON for whoever accepts no page. What is shown in the clear is kept nowhere."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache, caches
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST

from strongroom.django import keystores
from strongroom.django.encrypted import Cell
from strongroom.errors import SignatureError, StrongroomError
from students import transcripts
from students.forms import Enrolment, Search, Upload
from students.models import KEYSET, Document, Student, records

MINUTES_5 = 300
SHOWN = 50


def roll(request: HttpRequest) -> HttpResponse:
    """GET all students; with POST, enrol one."""
    if request.method == "POST":
        return enrol(request)
    return _roll(request, Enrolment(), Search())


@sensitive_post_parameters("ssn", "note")
@sensitive_variables()  # error reports print the variables of every frame
def enrol(request: HttpRequest) -> HttpResponse:
    """POST name, ssn and note: a new student, or the page again with what is wrong."""
    form = Enrolment(request.POST)
    if not form.is_valid():
        return _answer(request, {"errors": form.errors}, lambda: _roll(request, form, Search(), status=400), status=400)
    try:
        student = form.save()
    except StrongroomError as error:  # nothing was written: neither encrypted nor in the clear
        form.add_error(None, f"{error} ({error.hint})")
        return _answer(request, {"errors": form.errors}, lambda: _roll(request, form, Search(), status=503), status=503)
    return _answer(request, {"student": student.pk}, lambda: _to("record", student.pk), status=201)


@require_POST  # a GET would leave the number in the server's log
@sensitive_post_parameters("ssn")
@sensitive_variables()
def search(request: HttpRequest) -> HttpResponse:
    """POST ssn: who has it, however it is written. The database is asked for a mark of it."""
    form = Search(request.POST)
    if not form.is_valid():
        return _answer(request, {"errors": form.errors}, lambda: _roll(request, Enrolment(), form, 400), status=400)
    try:
        found = list(Student.objects.defer("ssn", "note").filter(ssn=form.cleaned_data["ssn"]))
    except StrongroomError as error:  # an answer that nobody was found would be wrong
        form.add_error("ssn", f"{error} ({error.hint})")
        return _answer(request, {"errors": form.errors}, lambda: _roll(request, Enrolment(), form, 503), status=503)
    told = {"found": [{"student": each.pk, "name": each.name} for each in found]}
    return _answer(request, told, lambda: _roll(request, Enrolment(), form, found=found))


def record(request: HttpRequest, number: int) -> HttpResponse:
    """GET a student, with the last four digits of the number only."""
    student, told = _found(number)
    return _answer(request, told, lambda: _record(request, student, told, Upload()))


@require_POST
def upload(request: HttpRequest, number: int) -> HttpResponse:
    """POST a document: it is encrypted while it is received, segment by segment."""
    student, told = _found(number)
    form = Upload(request.POST, request.FILES)
    if not form.is_valid():
        wrong = {"errors": form.errors}
        return _answer(request, wrong, lambda: _record(request, student, told, form, status=400), status=400)
    scan = form.cleaned_data["scan"]
    document = Document(student=student, title=scan.name[:100])
    document.scan.save(scan.name, scan)
    return _answer(request, {"document": document.scan.url}, lambda: _to("record", number), status=201)


def document(request: HttpRequest, name: str) -> FileResponse:
    """GET a document: opened while it is sent. This address is what `scan.url` gives."""
    held = get_object_or_404(Document.objects.select_related("student"), scan=name)
    try:
        opened = records().open(name)
    except FileNotFoundError:
        raise Http404 from None
    return FileResponse(opened, as_attachment=True, filename=held.title)


def transcript(request: HttpRequest, number: int) -> HttpResponse:
    """GET a signed transcript of a student. It names him, so the cache that it is kept in is encrypted."""
    key = f"transcript-{number}"
    signed = caches["sealed"].get(key)
    if signed is None:
        student = get_object_or_404(Student.objects.defer("ssn", "note"), pk=number)
        signed = transcripts.issue({"student": number, "name": student.name, "standing": "good"})
        caches["sealed"].set(key, signed, timeout=MINUTES_5)
    return HttpResponse(signed, content_type="text/plain")


@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """POST transcript: what it says, or 400 where we did not sign it."""
    try:
        return JsonResponse(transcripts.verified(request.POST["transcript"]))
    except SignatureError as error:
        return JsonResponse({"error": str(error)}, status=400)


def health(request: HttpRequest) -> HttpResponse:
    """Which version of the key protects now."""
    return JsonResponse({"version": keystores["default"].fernet(KEYSET).version})


# --- what they share


def _answer(request: HttpRequest, told: dict[str, Any], page: Any, status: int = 200) -> HttpResponse:
    """JSON for whoever accepts no page."""
    return page() if request.accepts("text/html") else JsonResponse(told, status=status)


def _to(name: str, number: int) -> HttpResponse:
    return HttpResponseRedirect(reverse(name, args=[number]))


@sensitive_variables()
def _roll(
    request: HttpRequest, enrolment: Enrolment, asked: Search, status: int = 200, found: list[Student] | None = None
) -> HttpResponse:
    students = Student.objects.defer("ssn", "note").order_by("name")[:SHOWN] if found is None else found
    shown = {"students": students, "enrolment": enrolment, "search": asked, "found": found}
    return render(request, "students/roll.html", shown, status=status)


@sensitive_variables()
def _found(number: int) -> tuple[Student, dict[str, Any]]:
    """A student, and what may be told of him. The token of his number is cached for five minutes, as it is."""
    key = f"ssn-token-{number}"
    student = get_object_or_404(Student.objects.defer("ssn", "note").annotate(token=Cell("ssn")), pk=number)
    token = cache.get(key)
    cached = token is not None
    if token is None:
        token = student.token
        cache.set(key, token, timeout=MINUTES_5)
    told: dict[str, Any] = {"student": number, "name": student.name, "cached": cached}
    try:
        told["ssn"] = f"***-**-{_ssn(student, token)[-4:]}"
    except StrongroomError as error:
        told["problem"] = f"{error} ({error.hint})"
    return student, told


@sensitive_variables()
def _ssn(student: Student, token: bytes) -> str:
    try:
        return keystores["default"].fernet(KEYSET).decrypt(token).decode()
    except StrongroomError:
        return student.ssn  # from the database: what hinders it is told by field, keyset and version


@sensitive_variables()
def _record(
    request: HttpRequest, student: Student, told: dict[str, Any], form: Upload, status: int = 200
) -> HttpResponse:
    documents = [{"title": _title(each), "scan": each.scan} for each in student.documents.order_by("pk")]
    shown = {"student": student, "told": told, "documents": documents, "upload": form}
    try:
        shown["note"] = student.note
    except StrongroomError as error:
        shown["broken"] = error
    return render(request, "students/record.html", shown, status=status)


def _title(document: Document) -> str:
    """What it is called; a cell that does not open says so, and the page still comes."""
    try:
        return document.title
    except StrongroomError:
        return "(its title does not open)"
