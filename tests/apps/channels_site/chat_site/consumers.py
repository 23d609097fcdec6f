"""The two consumers: one async, one sync, in the same groups."""

# mypy: disable-error-code="import-untyped, misc"

import json
import os
import threading
import time
from typing import Any

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

NAP = 0.3
"""Seconds of a call that blocks, such as a query."""


def room_of(scope: Any) -> str:
    """The room that the path names."""
    return str(scope["url_route"]["kwargs"]["room"])


class AsyncChat(AsyncWebsocketConsumer):
    """What one says in a room is heard by all who are in it."""

    async def connect(self) -> None:
        self.room = room_of(self.scope)
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()
        await self.send(json.dumps({"worker": os.getpid(), "channel": self.channel_name}))

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        said = json.loads(text_data or "{}")
        message = {"type": "chat.message", "text": said["text"]}
        if "to" in said:
            await self.channel_layer.send(said["to"], message)
        else:
            await self.channel_layer.group_send(said.get("room", self.room), message)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(json.dumps({"text": event["text"]}))


class Chat(WebsocketConsumer):
    """The same, by code that blocks."""

    def connect(self) -> None:
        self.room = room_of(self.scope)
        async_to_sync(self.channel_layer.group_add)(self.room, self.channel_name)
        self.accept()
        self.send(json.dumps({"worker": os.getpid(), "channel": self.channel_name}))

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.room, self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        said = json.loads(text_data or "{}")
        if said["text"] == "nap":
            time.sleep(NAP)
            self.send(json.dumps({"thread": threading.current_thread().name}))
            return
        async_to_sync(self.channel_layer.group_send)(
            self.room, {"type": "chat.message", "text": said["text"]}
        )

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(json.dumps({"text": event["text"]}))
