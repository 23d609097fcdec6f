"""What happens to Django's models, published on topics: once a change is committed, never before.

    from vivace.contrib.django import events

    events.publish(Message, topic=lambda message: f"message-room:{message.room_id}")

in the ``ready`` of the site's app, so that views, Celery and management commands all do it. What is published
is a dict: ``model`` (``chat.message``), ``op`` (``create``, ``update``, ``delete``), ``pk``, ``changed``
(names of fields) and, for fields that were asked for, ``values``.

Rules of this file:

- Topics and values are taken when the model is saved; they are published when its transaction commits, and
  not at all if it is rolled back.
- What is missed by Django's signals is missed here: ``bulk_create``, ``update`` of a query set, SQL.
- Those who save wait for no one: a hub that is away costs a line in the log, and 2 s at most.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, Literal

from django.db import transaction
from django.db.models.signals import post_delete, post_init, post_save

from vivace.errors import DeclarationError

if TYPE_CHECKING:
    from vivace.hub.hub import Hub

__all__ = ["Operation", "forget", "publish"]

logger = logging.getLogger("vivace.error")

Operation = Literal["create", "update", "delete"]
Topic = Callable[[Any], str | Iterable[str] | None]

OPERATIONS: Final[tuple[Operation, ...]] = ("create", "update", "delete")
PATIENCE: Final = 2.0
"""Seconds that a publishing may take from whoever saved."""
_BEFORE: Final = "_vivace_values"
"""The attribute of an object that keeps the values of its fields as they are in the database."""

_declared: dict[type, "_Publisher"] = {}


def publish(
    model: type,
    topic: Topic | None = None,
    *,
    on: Sequence[Operation] = OPERATIONS,
    fields: Sequence[str] = (),
    hub: "Hub | None" = None,
) -> None:
    """Publish what happens to the objects of a model.

    Args:
        model: A model.
        topic: Gives the topic of an object, or several, or None for an object of which nothing is published.
            Default: ``<label>:<operation>``, such as ``chat.message:create``.
        on: What is published: ``create``, ``update``, ``delete``.
        fields: Their values are published too; what msgpack cannot hold becomes text.
        hub: Where to. Default: the hub of the app that this process serves, else the one that VIVACE_HUB and
            HUB_URL name.

    Raises:
        DeclarationError: It was declared before, or something of it cannot be.
    """
    if model in _declared:
        raise DeclarationError(f"the events of {model.__name__} are published already: publish() comes once")
    wrong = [one for one in on if one not in OPERATIONS]
    if wrong or not on:
        raise DeclarationError(f"on={list(on)!r}: expected some of {', '.join(OPERATIONS)}")
    names = {field.name for field in model._meta.concrete_fields}  # type: ignore[attr-defined]
    missing = [field for field in fields if field not in names]
    if missing:
        raise DeclarationError(f"{model.__name__} has no field {missing[0]!r}")
    _declared[model] = _Publisher(model, topic, frozenset(on), tuple(fields), hub)


def forget(model: type) -> None:
    """Publish nothing of a model any more."""
    publisher = _declared.pop(model, None)
    if publisher is not None:
        publisher.disconnect()


class _Publisher:
    """The events of one model."""

    def __init__(
        self,
        model: Any,
        topic: Topic | None,
        on: frozenset[Operation],
        fields: tuple[str, ...],
        hub: "Hub | None",
    ) -> None:
        self._model = model
        self._label = model._meta.label_lower
        self._topic = topic
        self._on = on
        self._fields = fields
        self._hub = hub
        post_save.connect(self._saved, model)
        post_delete.connect(self._deleted, model)
        if "update" in on:
            post_init.connect(self._made, model)

    def disconnect(self) -> None:
        post_save.disconnect(self._saved, self._model)
        post_delete.disconnect(self._deleted, self._model)
        post_init.disconnect(self._made, self._model)

    def _made(self, instance: Any, **_: Any) -> None:
        """An object was made or loaded: what changes later is seen by what it was."""
        instance.__dict__[_BEFORE] = self._values(instance)

    def _values(self, instance: Any) -> dict[str, Any]:
        """The fields of an object that are loaded, by name."""
        there = instance.__dict__
        fields = self._model._meta.concrete_fields
        return {field.name: there[field.attname] for field in fields if field.attname in there}

    def _saved(self, instance: Any, created: bool, using: str, raw: bool = False, **more: Any) -> None:
        """An object was saved; fixtures, which are raw, are no events."""
        now = self._values(instance)
        before = instance.__dict__.get(_BEFORE, {})
        instance.__dict__[_BEFORE] = now
        if raw:
            return
        changed = [name for name, value in now.items() if created or before.get(name, self) != value]
        asked = more.get("update_fields")
        if asked is not None:
            attnames = {field.name: field.attname for field in self._model._meta.concrete_fields}
            changed = [name for name in changed if name in asked or attnames[name] in asked]
        self._note("create" if created else "update", instance, changed, using)

    def _deleted(self, instance: Any, using: str, **_: Any) -> None:
        self._note("delete", instance, [], using)

    def _note(self, operation: Operation, instance: Any, changed: list[str], using: str) -> None:
        """Publish when the transaction commits: at once if there is none."""
        if operation not in self._on or (operation == "update" and not changed):
            return
        event: dict[str, Any] = {
            "model": self._label,
            "op": operation,
            "pk": _plain(instance.pk),
            "changed": changed,
        }
        if self._fields:
            event["values"] = {name: _plain(getattr(instance, name)) for name in self._fields}
        for topic in self._topics(operation, instance):
            transaction.on_commit(partial(self._publish, topic, event), using=using)

    def _topics(self, operation: Operation, instance: Any) -> Iterable[str]:
        if self._topic is None:
            return (f"{self._label}:{operation}",)
        topic = self._topic(instance)
        return () if topic is None else (topic,) if isinstance(topic, str) else tuple(topic)

    def _publish(self, topic: str, event: dict[str, Any]) -> None:
        try:
            hub = self._hub or _find_hub()
            hub.publish_sync(topic, event, timeout=PATIENCE)
        except Exception:
            # The change is committed, and what else waits for the commit shall happen.
            logger.exception("the event %s of %s could not be published", event["op"], self._label)


def _plain(value: Any) -> Any:
    """A value as msgpack can hold it: what it cannot is text; of an object its key."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    return _plain(value.pk) if hasattr(value, "_meta") else str(value)


def _find_hub() -> "Hub":
    """The hub of the app that this process serves, else one that looks for it."""
    from vivace.framework.app import Vivace

    for app in tuple(Vivace._app_registry.values()):
        if app._home is not None and app._home.is_running():
            hub: Hub = app.hub
            return hub
    return _usual()


@lru_cache(1)
def _usual() -> "Hub":
    from vivace.config import Config
    from vivace.hub.hub import Hub

    return Hub(engine=Config.load().HUB_URL or None)
