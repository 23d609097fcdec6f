"""The chat of a Django site: its models' events are GraphQL subscriptions, access to rooms is asked.

- ``SITE_FILE``  the file of its SQLite database
"""

import asyncio
import os
from typing import Any

import django
import django.db.models
import django.db.transaction
import graphql
from asgiref.sync import sync_to_async
from django.conf import settings
from graphql import GraphQLArgument, GraphQLField, GraphQLInt, GraphQLNonNull, GraphQLSchema, GraphQLString

from vivace import Vivace
from vivace.contrib.django import events
from vivace.contrib.django.orm import in_thread
from vivace.ext.graphql import Context, topics

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SITE_FILE"]}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["vivace.contrib.django"],
    SECRET_KEY="only for tests",
)
django.setup()

models: Any = django.db.models
transaction: Any = django.db.transaction
ObjectType: Any = graphql.GraphQLObjectType
TEXT: Any = GraphQLString
"""pyright takes what their classes make for something else."""


class Note(models.Model):  # type: ignore[misc]
    room = models.CharField(max_length=20)
    text = models.CharField(max_length=80)

    class Meta:
        app_label = "chat"


events.publish(Note, topic=lambda note: f"room:{note.room}", on=["create"], fields=["text"])
app = Vivace("site")


def create_tables() -> None:
    with django.db.connection.schema_editor() as editor:
        editor.create_model(Note)


def know(context: Context) -> None:
    context.user = context.payload.get("user")


def may_see(user: str, room: str) -> bool:
    return room != "secret"


@topics(lambda room: f"room:{room}", allow=may_see)
async def note_created(root: Any, info: Any, event: Any, room: str) -> Any:
    return event.data["pk"]


def resolve_note(pk: int, info: Any, room: str) -> str:
    """Plain, and it asks the database: it needs a thread."""
    return f"create {Note.objects.get(pk=pk).text}"


@sync_to_async
def say(room: str, text: str, fail: bool) -> None:
    with transaction.atomic():
        Note.objects.create(room=room, text=text)
        if fail:
            raise ValueError("rolled back")


async def resolve_say(root: Any, info: Any, room: str, text: str) -> int:
    await say(room, text, text == "never")
    return os.getpid()


async def resolve_revoke(root: Any, info: Any, user: str, room: str) -> int:
    await app.hub.revoke(user=user, topic=f"room:{room}")
    return os.getpid()


async def resolve_settled(root: Any, info: Any, room: str) -> int:
    """Wait until the hub knows that somebody in this process follows the room."""
    while not app.hub.has_subscribers(f"room:{room}"):
        await asyncio.sleep(0.01)
    async with app.hub.subscribe(f"room:{room}"):
        return os.getpid()


def arguments(*names: str) -> dict[str, GraphQLArgument]:
    return {name: GraphQLArgument(GraphQLNonNull(TEXT)) for name in names}


NUMBER: Any = GraphQLInt
pid = GraphQLField(NUMBER, resolve=lambda *_: os.getpid())
settled = GraphQLField(NUMBER, arguments("room"), resolve_settled)
mutations = {
    "say": GraphQLField(NUMBER, arguments("room", "text"), resolve_say),
    "revoke": GraphQLField(NUMBER, arguments("user", "room"), resolve_revoke),
}
created = GraphQLField(TEXT, arguments("room"), resolve_note, subscribe=note_created)
schema = GraphQLSchema(
    ObjectType("Query", {"pid": pid, "settled": settled}),
    ObjectType("Mutation", mutations),
    ObjectType("Subscription", {"noteCreated": created}),
)
app.graphql("/graphql", schema, on_connect=know, threads=in_thread)
