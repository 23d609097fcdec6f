"""The measured app on Django under Vivace's ASGI handler, which bounds the threads."""

import importlib

importlib.import_module("django_app")  # configures Django

from vivace.contrib.django import get_asgi_application  # noqa: E402

asgi = get_asgi_application()
