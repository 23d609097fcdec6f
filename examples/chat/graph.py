"""The chat for GraphQL clients: what was said, saying something, and hearing what is said from now on.

Rules of this file:

- It is another way to the same rooms: what is said here is heard on the page, and the other way round.
- Only members of a room read, say and hear anything there; who is removed hears nothing more, at once.
"""

from typing import Any
from uuid import UUID

import store
import strawberry

from vivace import Forbidden
from vivace.ext.graphql import Context, topics

__all__ = ["schema"]

SHOWN = 200
"""Messages that are given at a time."""
Info = strawberry.Info[Context, None]


@strawberry.type
class Message:
    """Something that was said; see `store.Message`."""

    room: strawberry.ID
    number: int
    id: strawberry.ID
    author: str
    text: str
    at: str


def show(message: store.Message) -> Message:
    """A message as clients get it."""
    return Message(
        room=strawberry.ID(message.room),
        number=message.number,
        id=strawberry.ID(str(message.id)),
        author=message.author,
        text=message.text,
        at=message.at.isoformat(),
    )


async def may_hear(context: Context, room: str) -> bool:
    """Whether somebody is in a room: asked at the beginning, every 30 s, and when they are removed."""
    return await rooms(context).is_member(room, context.user)


def rooms(context: Context) -> store.Store:
    """What the chat keeps."""
    kept: store.Store = context.app.ctx.store
    return kept


async def check(context: Context, room: str) -> None:
    """Keep out who is no member of a room."""
    if not await may_hear(context, room):
        raise Forbidden("you are not in this room")


@strawberry.type
class Query:
    """What was said."""

    @strawberry.field
    async def messages(self, info: Info, room: strawberry.ID, after: int = 0) -> list[Message]:
        """The newest after a number, oldest first."""
        await check(info.context, room)
        return [show(message) for message in await rooms(info.context).after(room, after, SHOWN)]


@strawberry.type
class Mutation:
    """What can be done."""

    @strawberry.mutation
    async def say(self, info: Info, room: strawberry.ID, id: UUID, text: str) -> Message:  # noqa: A002
        """Say something; the id is the client's: said twice, it is the same message."""
        await check(info.context, room)
        message = await rooms(info.context).keep(room, info.context.user, id, text)
        await info.context.app.hub.publish(f"room:{room}", message)
        return show(message)


@strawberry.type
class Subscription:
    """What is said from now on."""

    @strawberry.subscription
    @topics(lambda room: f"room:{room}", allow=may_hear, recheck=30)
    async def message_created(self, info: Info, event: Any, room: strawberry.ID) -> Message:
        """A message of the room's group."""
        return Message(**event.data)


schema = strawberry.Schema(Query, mutation=Mutation, subscription=Subscription)
