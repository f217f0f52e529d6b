"""Enrolment and records. A record's token passes through the cache; what it protects does not."""

from __future__ import annotations

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from strongroom.django import keystores
from strongroom.django.encrypted import Cell
from strongroom.errors import SignatureError
from students import transcripts
from students.models import KEYSET, Student


@csrf_exempt  # the demonstration has no browser
@sensitive_post_parameters("ssn")
def enrol(request: HttpRequest) -> HttpResponse:
    """POST name and ssn: a new student."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    student = Student.objects.create(name=request.POST["name"], ssn=request.POST["ssn"])
    return JsonResponse({"student": student.pk}, status=201)


@sensitive_variables("ssn")  # error reports print the variables of every frame
def record(request: HttpRequest, number: int) -> HttpResponse:
    """GET a student, with the last four digits only. The token is cached for five minutes."""
    box = keystores["default"].fernet(KEYSET)
    key = f"ssn-token-{number}"
    student = get_object_or_404(Student.objects.defer("ssn").annotate(token=Cell("ssn")), pk=number)
    token = cache.get(key)
    cached = token is not None
    if token is None:
        token = student.token
        cache.set(key, token, timeout=300)
    ssn = box.decrypt(token).decode()
    return JsonResponse({"student": number, "name": student.name, "ssn": f"***-**-{ssn[-4:]}", "cached": cached})


def transcript(request: HttpRequest, number: int) -> HttpResponse:
    """GET a signed transcript of a student."""
    student = get_object_or_404(Student.objects.defer("ssn"), pk=number)
    signed = transcripts.issue({"student": number, "name": student.name, "standing": "good"})
    return HttpResponse(signed, content_type="text/plain")


@csrf_exempt  # as above
def verify(request: HttpRequest) -> HttpResponse:
    """POST transcript: what it says, or 400 where we did not sign it."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        return JsonResponse(transcripts.verified(request.POST["transcript"]))
    except SignatureError as error:
        return JsonResponse({"error": str(error)}, status=400)


def health(request: HttpRequest) -> HttpResponse:
    """Which version of the key protects now."""
    return JsonResponse({"version": keystores["default"].fernet(KEYSET).version})
