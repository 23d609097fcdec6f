"""The project: HTTP by Django, WebSockets by Channels."""

# mypy: disable-error-code="import-untyped, import-not-found"

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path

from vivace.contrib.django import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat_site.settings")
http = get_asgi_application()

from chat_site.consumers import AsyncChat, Chat  # noqa: E402

sockets: Any = [
    re_path(r"^ws/chat/(?P<room>\w+)/$", AsyncChat.as_asgi()),
    re_path(r"^ws/sync/(?P<room>\w+)/$", Chat.as_asgi()),
]
application = ProtocolTypeRouter({"http": http, "websocket": URLRouter(sockets)})
