"""Settings of the site; what differs from test to test comes from the environment.

- ``SITE_DEBUG``      1 for DEBUG
- ``SITE_DATABASE``   the folder of PostgreSQL's socket; SQLite without a file if there is none
- ``SITE_NAME``       application_name of the database connections
- ``SITE_MEDIA``      the folder for uploads
- ``SITE_ASGI``       the dotted path of ASGI_APPLICATION
- ``SITE_STATIC``     0 or 1 for VIVACE_STATIC
"""

import os
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = "only for tests"
DEBUG = os.environ.get("SITE_DEBUG") == "1"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "shop.test", "test"]
USE_X_FORWARDED_HOST = False

INSTALLED_APPS = [
    "vivace.contrib.django",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "papers",
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
ROOT_URLCONF = "django_site.urls"
WSGI_APPLICATION = "django_site.wsgi.application"
if "SITE_ASGI" in os.environ:
    ASGI_APPLICATION = os.environ["SITE_ASGI"]
if "SITE_STATIC" in os.environ:
    VIVACE_STATIC = os.environ["SITE_STATIC"] == "1"

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

_POSTGRESQL: dict[str, Any] = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": "site",
    "USER": "postgres",
    "HOST": os.environ.get("SITE_DATABASE", ""),
    "CONN_MAX_AGE": 60,
    "OPTIONS": {"application_name": os.environ.get("SITE_NAME", "site")},
}
_SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
DATABASES = {"default": _POSTGRESQL if "SITE_DATABASE" in os.environ else _SQLITE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# The real ones take half a second of processor per login, on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

USE_TZ = True
STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = os.environ.get("SITE_MEDIA", "")
