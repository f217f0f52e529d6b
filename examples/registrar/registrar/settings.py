"""A small site of student records. No key is in this file, and none is in the environment either."""

import os
from pathlib import Path

import strongroom

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("REGISTRAR_DATA", BASE_DIR))
STORE = Path(os.environ.get("REGISTRAR_STORE", BASE_DIR / ".strongroom"))

# while this file is still loading, with no Django configured and no cache touched
SECRET_KEY, SECRET_KEY_FALLBACKS = strongroom.django_secret_key("django-secret-key", store=STORE)

STRONGROOM = {"default": {"STORE": STORE}}

# the tokens are plain Fernet on purpose, so that other software reads them; aes256-gcm would bind each to its field
SILENCED_SYSTEM_CHECKS = ["strongroom.W021"]

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
ROOT_URLCONF = "registrar.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "strongroom.django",
    "students",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "registrar.sqlite3"}}

if os.environ.get("REGISTRAR_REDIS"):
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": os.environ["REGISTRAR_REDIS"],
            # tokens are bytes: nothing that somebody put into Redis is unpickled here
            "OPTIONS": {"serializer": "strongroom.django.serializers.BytesSerializer"},
        }
    }
else:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(name)s %(levelname)s %(message)s"}},
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": str(DATA_DIR / "registrar.log"), "formatter": "plain"}
    },
    "root": {"handlers": ["file"], "level": "INFO"},
}
