"""A task of Celery that says something to a room; its broker is a folder.

``python -m chat_site.tasks ROOM TEXT...`` asks for one task for each text.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator"

import os
import sys
from typing import Any

import django
from asgiref.sync import async_to_sync
from celery import Celery
from channels.layers import get_channel_layer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat_site.settings")
django.setup()

BROKER = os.environ["BROKER"]
celery = Celery("chat", broker="filesystem://")
celery.conf.broker_transport_options = {
    "data_folder_in": f"{BROKER}/queue",
    "data_folder_out": f"{BROKER}/queue",
    "control_folder": f"{BROKER}/control",
}


@celery.task
def say(room: str, text: str) -> None:
    """Each call of `async_to_sync` makes a loop; the layer makes no connection for it."""
    layer: Any = get_channel_layer()
    async_to_sync(layer.group_send)(room, {"type": "chat.message", "text": text})


if __name__ == "__main__":
    for each in sys.argv[2:]:
        celery.send_task("chat_site.tasks.say", [sys.argv[1], each])
