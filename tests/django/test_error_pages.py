"""Error pages print settings and the variables of every frame. Material is in neither."""

from __future__ import annotations

import base64
import html
import sys
from pathlib import Path

from django.test import RequestFactory, override_settings
from django.views.debug import ExceptionReporter

from strongroom.django import keystores
from strongroom.errors import DecryptionError
from strongroom.keystore.opening import open_store

urlpatterns: list[object] = []  # the page names the site's URLs


def page_of_a_failure(token: bytes, held: object = None) -> str:
    """Django's debug page for a view that holds all that a view can hold, and fails."""
    keystore = keystores["default"]
    box, secret = keystore.fernet("student-records"), keystore.secret("django-secret-key")
    snapshot = keystore.current("student-records")
    material = snapshot.opened.material(1)
    try:
        box.decrypt(token)
    except DecryptionError:
        request = RequestFactory().get("/students/1/")
        page = html.unescape(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())
    assert all(name in page for name in ("box", "secret", "snapshot", "material", "held"))  # the frame is there
    del secret, material, held
    return page


def test_the_debug_page_of_a_failed_decryption_shows_no_material(development: Path) -> None:
    with open_store(development) as keystore:
        raw = keystore.current("student-records").opened.material(1).reveal()
        text = keystore.secret("django-secret-key").reveal_text()
        token = keystore.fernet("student-records").encrypt(b"078-05-1120")
    start = repr(raw[:12])[2:-1]  # the page breaks longer bytes into lines
    spellings = [start, raw.hex(), base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
    forged = token[:20] + (b"A" if token[20:21] != b"A" else b"B") + token[21:]
    with override_settings(DEBUG=True, ROOT_URLCONF=__name__, STRONGROOM={"default": {"STORE": development}}):
        page = page_of_a_failure(forged)
        careless = page_of_a_failure(forged, raw[:12])  # so that this test could fail
    assert "DecryptionError" in page
    assert [spelling for spelling in [*spellings, text, "078-05-1120"] if spelling in page] == []
    assert start in careless
