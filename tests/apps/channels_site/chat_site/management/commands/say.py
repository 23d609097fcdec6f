"""``manage.py say ROOM TEXT...``: each text in a call of its own, each with a loop of its own."""

# mypy: disable-error-code="import-untyped, misc"

from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """The command."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("room")
        parser.add_argument("texts", nargs="+")

    def handle(self, *args: Any, **options: Any) -> None:
        layer: Any = get_channel_layer()
        for text in options["texts"]:
            message = {"type": "chat.message", "text": text}
            async_to_sync(layer.group_send)(options["room"], message)
