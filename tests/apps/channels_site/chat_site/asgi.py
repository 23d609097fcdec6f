"""The project: HTTP by Django, WebSockets by Channels."""

# mypy: disable-error-code="import-untyped, import-not-found"

import os
from types import SimpleNamespace
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import re_path

from vivace.contrib.django import get_asgi_application
from vivace.contrib.django.channels import Revocable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat_site.settings")
http = get_asgi_application()

from chat_site.consumers import AsyncChat, Chat  # noqa: E402

sockets: Any = [
    re_path(r"^ws/chat/(?P<room>\w+)/$", AsyncChat.as_asgi()),
    re_path(r"^ws/sync/(?P<room>\w+)/$", Chat.as_asgi()),
]


class NamedUser:
    """What Channels' AuthMiddlewareStack does, without a database: the query says who it is."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["query_string"].decode()
        await self._app({**scope, "user": SimpleNamespace(pk=name or None)}, receive, send)


application = ProtocolTypeRouter({"http": http, "websocket": NamedUser(Revocable(URLRouter(sockets)))})
