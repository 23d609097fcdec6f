"""Settings of the chat: the layer has no other setting than its name."""

ALLOWED_HOSTS = ["*"]
ASGI_APPLICATION = "chat_site.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "vivace.contrib.django.channels.HubLayer"}}
DATABASES: dict[str, object] = {}
INSTALLED_APPS = ["channels", "chat_site"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "chat_site.urls"
SECRET_KEY = "only for tests"
USE_TZ = True
