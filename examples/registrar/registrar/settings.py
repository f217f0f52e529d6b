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
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "strongroom.django",
    "students",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "registrar.sqlite3"}}

# documents: encrypted above a plain directory, which no web server hands out
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "ciphertext": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": DATA_DIR / "documents"},
    },
    "records": {
        "BACKEND": "strongroom.django.storage.EncryptedStorage",
        "OPTIONS": {"storage": "ciphertext", "keyset": "student-files", "url": "document"},
    },
}
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]  # no upload in /tmp, in the clear
FILE_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024

if os.environ.get("REGISTRAR_REDIS"):
    _CACHE = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": os.environ["REGISTRAR_REDIS"],
        # tokens are bytes: nothing that somebody put into Redis is unpickled here
        "OPTIONS": {"serializer": "strongroom.django.serializers.BytesSerializer"},
    }
else:
    _CACHE = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
CACHES = {
    "default": _CACHE,  # what is ciphertext by itself
    "sealed": {  # what is not: transcripts, which name a student, and sessions
        "BACKEND": "strongroom.django.cache.EncryptedCache",
        "OPTIONS": {"CACHE": "default", "KEYSET": "site-cache"},
    },
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "sealed"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(name)s %(levelname)s %(message)s"}},
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": str(DATA_DIR / "registrar.log"), "formatter": "plain"}
    },
    "root": {"handlers": ["file"], "level": "INFO"},
}
