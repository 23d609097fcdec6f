"""The same with Vivace's handler: its sync code shares THREADS threads."""

import os

from vivace.contrib.django import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_site.settings")

application = get_asgi_application()
