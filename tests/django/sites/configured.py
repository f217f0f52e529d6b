"""A plugin of pytest for a site's own process: Django is set up before a file that imports models is read."""

from __future__ import annotations

from django.conf import settings

import django

django.setup()
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a login costs no test 0.3 s
settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, "testserver"]  # what django.test.Client calls itself
