"""Pages that say something to a room: by each of the ways that code without a loop has."""

# mypy: disable-error-code="import-untyped"

import os
from types import SimpleNamespace
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth.signals import user_logged_out
from django.http import HttpRequest, HttpResponse
from django.urls import path

layer: Any = get_channel_layer()


def message(request: HttpRequest) -> dict[str, str]:
    return {"type": "chat.message", "text": str(request.GET["text"])}


def by_async_to_sync(request: HttpRequest, room: str) -> HttpResponse:
    async_to_sync(layer.group_send)(room, message(request))
    return HttpResponse(b"%d" % os.getpid())


def by_sync(request: HttpRequest, room: str) -> HttpResponse:
    layer.group_send_sync(room, message(request))
    return HttpResponse(b"%d" % os.getpid())


async def by_async(request: HttpRequest, room: str) -> HttpResponse:
    await layer.group_send(room, message(request))
    return HttpResponse(b"%d" % os.getpid())


def throw_out(request: HttpRequest, user: str) -> HttpResponse:
    layer.revoke_sync(user)
    return HttpResponse()


def log_out(request: HttpRequest, user: str) -> HttpResponse:
    user_logged_out.send(None, request=request, user=SimpleNamespace(pk=user))
    return HttpResponse()


urlpatterns = [
    path("out/revoke/<user>/", throw_out),
    path("out/logout/<user>/", log_out),
    path("say/bridge/<room>/", by_async_to_sync),
    path("say/sync/<room>/", by_sync),
    path("say/async/<room>/", by_async),
]
