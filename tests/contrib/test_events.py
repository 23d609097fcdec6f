"""What happens to models is published: after the commit, with what changed, never in the way of who saves."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import django.db.models
import django.db.transaction
import pytest

from tests.framework.streams import make_app
from vivace import Vivace
from vivace.contrib.django import events
from vivace.errors import DeclarationError, HubUnavailable
from vivace.hub import Hub, Message
from vivace.testing import Client

USING = "events"
connections: Any = django.db.connections
models: Any = django.db.models
transaction: Any = django.db.transaction


Room: Any = None
Note: Any = None
"""The models of these tests; classes of models can be made only once Django is set up."""


def make_models() -> tuple[Any, Any]:
    class Room(models.Model):
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "chat"

    class Note(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        room = models.ForeignKey(Room, on_delete=models.CASCADE, null=True)
        text = models.CharField(max_length=20)
        stars = models.IntegerField(default=0)

        class Meta:
            app_label = "chat"

    return Room, Note


class FakeHub:
    """Takes what is published."""

    def __init__(self) -> None:
        self.published: list[tuple[str, Any]] = []
        self.error: Exception | None = None

    def publish_sync(self, topic: str, data: Any, **_: Any) -> None:
        if self.error is not None:
            raise self.error
        self.published.append((topic, data))

    def take(self) -> list[tuple[str, Any]]:
        taken, self.published = self.published, []
        return taken


@pytest.fixture(scope="module", autouse=True)
def _database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    global Room, Note
    Room, Note = make_models()
    path = tmp_path_factory.mktemp("database") / "db"  # one in memory cannot be closed
    connections.settings[USING] = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
    connections.settings = connections.configure_settings(connections.settings)
    with connections[USING].schema_editor() as editor:
        editor.create_model(Room)
        editor.create_model(Note)
    yield
    connections[USING].close()
    del connections[USING]
    del connections.settings[USING]


@pytest.fixture
def hub() -> Iterator[Any]:
    yield FakeHub()
    events.forget(Note)


def topic_of(note: Any) -> str | None:
    return f"room:{note.room_id}" if note.room_id else None


def make(**values: Any) -> Any:
    note = Note(**values)
    note.save(using=USING)
    return note


def test_what_happens_to_an_object(hub: Any) -> None:
    events.publish(Note, topic_of, hub=hub, fields=["text", "room"])
    room = Room(name="a")
    room.save(using=USING)
    note = make(room=room, text="one")
    topic, created = hub.take()[0]
    assert topic == f"room:{room.pk}"
    assert created == {
        "model": "chat.note",
        "op": "create",
        "pk": str(note.pk),
        "changed": ["id", "room", "text", "stars"],
        "values": {"text": "one", "room": room.pk},
    }
    note.text = "two"
    note.save(using=USING)
    assert [event["changed"] for _, event in hub.take()] == [["text"]]
    loaded = Note.objects.using(USING).get(pk=note.pk)
    loaded.stars, loaded.text = 3, "three"
    loaded.save(using=USING, update_fields=["stars"])
    assert [event["changed"] for _, event in hub.take()] == [["stars"]]
    key = str(note.pk)
    note.delete(using=USING)
    ((_, deleted),) = hub.take()
    assert (deleted["op"], deleted["pk"], deleted["changed"]) == ("delete", key, [])


def test_a_save_that_changes_nothing_is_no_event(hub: Any) -> None:
    events.publish(Note, hub=hub)
    note = make(text="one")
    assert [topic for topic, _ in hub.take()] == ["chat.note:create"]
    note.save(using=USING)
    assert hub.take() == []


def test_deferred_fields_are_left_alone(hub: Any) -> None:
    events.publish(Note, hub=hub)
    key = make(text="one").pk
    hub.take()
    loaded = Note.objects.using(USING).only("stars").get(pk=key)
    loaded.stars = 7
    loaded.save(using=USING)
    ((_, event),) = hub.take()
    assert event["changed"] == ["stars"]


def test_nothing_is_published_before_the_commit(hub: Any) -> None:
    events.publish(Note, hub=hub)
    with transaction.atomic(using=USING):
        make(text="one")
        assert hub.published == []
    assert len(hub.take()) == 1


def test_what_is_rolled_back_never_happened(hub: Any) -> None:
    events.publish(Note, hub=hub)
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=USING):
        make(text="one")
        raise ZeroDivisionError
    with transaction.atomic(using=USING):
        make(text="kept")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=USING):
            make(text="lost")
            raise ZeroDivisionError
    assert len(hub.take()) == 1


def test_some_operations_and_several_topics(hub: Any) -> None:
    events.publish(Note, lambda note: ["all", f"note:{note.text}"], on=["create"], hub=hub)
    note = make(text="one")
    note.text = "two"
    note.save(using=USING)
    note.delete(using=USING)
    assert [topic for topic, _ in hub.take()] == ["all", "note:one"]


def test_objects_without_a_topic_are_not_published(hub: Any) -> None:
    events.publish(Note, topic_of, hub=hub)
    make(text="nowhere")
    assert hub.take() == []


def test_who_saves_does_not_suffer_from_the_hub(hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    events.publish(Note, hub=hub)
    hub.error = HubUnavailable("away")
    note = make(text="one")
    assert Note.objects.using(USING).filter(pk=note.pk).exists()
    assert "the event create of chat.note could not be published" in caplog.text


def test_declarations_that_cannot_be(hub: Any) -> None:
    with pytest.raises(DeclarationError, match="no field 'nothing'"):
        events.publish(Note, fields=["nothing"], hub=hub)
    with pytest.raises(DeclarationError, match="expected some of create"):
        events.publish(Note, on=["creation"], hub=hub)  # type: ignore[list-item]
    events.publish(Note, hub=hub)
    with pytest.raises(DeclarationError, match="comes once"):
        events.publish(Note, hub=hub)


async def test_the_app_that_is_served_gets_the_events() -> None:
    app: Vivace = make_app()
    events.publish(Note)
    try:
        async with Client(app), app.hub.subscribe("chat.note:create") as messages:
            assert events._find_hub() is app.hub
            await asyncio.to_thread(_publish_one)
            async with asyncio.timeout(10):
                message = await anext(aiter(messages))
            assert isinstance(message, Message)
            assert message.data["op"] == "create"
    finally:
        events.forget(Note)


def _publish_one() -> None:
    events._declared[Note]._publish("chat.note:create", {"op": "create"})


def test_without_an_app_the_environment_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    events._usual.cache_clear()
    monkeypatch.setenv("VIVACE_HUB_URL", "redis://localhost:1")
    found = events._find_hub()
    assert isinstance(found, Hub)
    assert found.engine == "redis://localhost:1"
    assert events._find_hub() is found
    events._usual.cache_clear()
