"""Tasks and schedules of blueprints: their names, and copies, groups and apps that share them."""

import gc
import pickle
from typing import Any

import pytest

from vivace import Blueprint, Vivace
from vivace.errors import DeclarationError
from vivace.framework.part_work import PartWorking
from vivace.tasks import TaskError
from vivace.tasks.runner import Runner


def make(name: str, tmp_path: Any = None) -> "Vivace[Any, Any]":
    app: Vivace[Any, Any] = Vivace(name)
    if tmp_path:
        app.config.TASKS_URL = f"sqlite:///{tmp_path}/tasks.sqlite3"
    return app


def names(app: "Vivace[Any, Any]") -> list[str]:
    return sorted(app.work.functions)


async def drain(app: "Vivace[Any, Any]") -> int:
    runner = Runner(app.work, app.work.names(""), 10, 30.0)
    try:
        return await runner.drain()
    finally:
        runner.close()
        app.work.close()


def importable() -> None: ...


def tasks_of(part: PartWorking) -> None:
    """One of each kind."""

    @part.task(retries=0)
    def send() -> None: ...

    @part.cron("0 3 * * *")
    def nightly() -> None: ...

    @part.every("30s")
    def often() -> None: ...

    @part.watch("*.yml", debounce=1)
    def changed(paths: list[str]) -> None: ...


def test_they_stand_under_the_app_and_the_blueprint() -> None:
    app, mail = make("shop"), Blueprint("mail", url_prefix="/mail")
    tasks_of(mail)
    assert app.companions == []
    app.blueprint(mail)
    assert names(app) == ["shop.mail.changed", "shop.mail.nightly", "shop.mail.often", "shop.mail.send"]
    assert [one.name for one in app.work.schedules] == ["shop.mail.nightly", "shop.mail.often"]
    assert [(one.name, one.debounce) for one in app.work.watches] == [("shop.mail.changed", 1.0)]
    assert app.work.functions["shop.mail.send"].options.retries == 0
    assert [one.name for one in app.companions] == ["shop.tasks", "shop.scheduler"]


async def test_they_are_enqueued_and_run(tmp_path: Any) -> None:
    app, mail = make("shop", tmp_path), Blueprint("mail")
    seen: list[int] = []

    @mail.task(name="note")
    def remember(number: int) -> None:
        seen.append(number)

    with pytest.raises(TaskError, match=r"mail\.note: its blueprint is part of no app yet"):
        await remember.enqueue(0)
    app.blueprint(mail)
    handle = await remember.enqueue(1)
    await remember.delay(0).enqueue(2)
    await remember.enqueue_many([(3,), {"number": 4}])
    remember(5)  # called, it is the function that it was
    assert repr(handle) == "<task shop.mail.note 1>"
    with pytest.raises(TaskError, match=r"task shop\.mail\.note: Expected `int`"):
        await remember.enqueue("x")  # type: ignore[arg-type]
    with pytest.raises(TaskError, match=r"task shop\.mail\.note cannot be enqueued inside a transaction"):
        await remember.in_transaction(object()).enqueue(6)
    assert await drain(app) == 4
    assert sorted(seen) == [1, 2, 3, 4, 5]


def test_what_is_declared_late_counts_at_once() -> None:
    app, mail = make("shop"), Blueprint("mail")
    app.blueprint(mail)
    tasks_of(mail)
    assert len(names(app)) == 4
    assert len(app.companions) == 2


def test_a_copy_runs_nothing_a_second_time() -> None:
    app, mail = make("shop"), Blueprint("mail", url_prefix="/v1")
    tasks_of(mail)
    app.blueprint(mail)
    again = mail.copy("mail2", url_prefix="/v2")
    assert set(app.blueprints) == {"mail", "mail2"}
    assert len(app.work.schedules) == 2
    assert len(names(app)) == 4
    again.task(importable)  # what is declared later is its own
    assert "shop.mail2.importable" in names(app)
    assert "shop.mail.importable" not in names(app)


def test_a_copy_alone_brings_what_was_declared_before() -> None:
    app, mail = make("shop"), Blueprint("mail")
    tasks_of(mail)
    app.blueprint(mail.copy("again"))
    assert names(app)[0] == "shop.mail.changed"


def test_a_blueprint_that_is_there_twice_runs_once() -> None:
    app, mail = make("shop"), Blueprint("mail")
    tasks_of(mail)
    app.blueprint(mail, url_prefix="/a")
    app.blueprint(mail, url_prefix="/b", name_prefix="b")
    assert len(app.work.schedules) == 2


def test_groups_bring_those_of_their_members() -> None:
    app = make("shop")
    inner, outer = Blueprint("inner"), Blueprint("outer")
    inner.task(importable)
    outer.task(importable)
    app.blueprint(Blueprint.group(outer, Blueprint.group(inner, url_prefix="/in"), name_prefix="v1"))
    assert names(app) == ["shop.inner.importable", "shop.outer.importable"]


async def test_of_several_apps_one_has_to_be_named(tmp_path: Any) -> None:
    mail = Blueprint("mail")
    send = mail.task(importable)
    one, two, three = make("one", tmp_path), make("two", tmp_path), make("three")
    one.blueprint(mail)
    two.blueprint(mail)
    with pytest.raises(TaskError, match=r"part of several apps \(one, two\): write task\.of\(app\)\.enqueue"):
        await send.enqueue()
    await send.of(two).enqueue()
    with pytest.raises(TaskError, match="its blueprint is no part of the app three"):
        send.of(three)
    assert await drain(one) == 0
    assert await drain(two) == 1


def test_a_task_of_an_app_is_of_that_app_only() -> None:
    app = make("one")
    send = app.task(importable)
    assert send.of(app) is send
    with pytest.raises(TaskError, match=r"task one\.importable is none of the app two"):
        send.of(make("two"))


async def test_an_app_that_is_gone_does_not_count(tmp_path: Any) -> None:
    mail = Blueprint("mail")
    send = mail.task(importable)
    make("gone").blueprint(mail)
    gc.collect()
    app = make("there", tmp_path)
    app.blueprint(mail)
    await send.enqueue()
    assert await drain(app) == 1


def test_names_that_clash_are_refused_and_leave_nothing() -> None:
    app, mail = make("shop"), Blueprint("mail")
    app.task(name="mail.send")(importable)

    @mail.task
    def send() -> None: ...

    mail.add_route(lambda request: None, "/x", name="x")
    with pytest.raises(DeclarationError, match=r"two tasks are called shop\.mail\.send: .*; give one"):
        app.blueprint(mail)
    assert (app.blueprints, names(app), mail.registered) == ({}, ["shop.mail.send"], False)
    with pytest.raises(DeclarationError, match=r"two tasks are called mail\.send"):
        mail.task(name="send")(importable)
    other = Blueprint("mail")
    other.task(importable)
    app.blueprint(other)
    with pytest.raises(DeclarationError, match=r"two tasks are called shop\.mail\.send"):
        other.task(send.function)


@pytest.mark.parametrize("wrong", [{"retries": -1}, {"queue": ""}, {"timeout": 0}])
def test_what_cannot_be_is_refused_where_it_is_declared(wrong: dict[str, Any]) -> None:
    with pytest.raises(DeclarationError, match=r"task mail\.importable"):
        Blueprint("mail").task(**wrong)(importable)


def test_a_rule_that_is_none_is_refused_where_it_is_declared() -> None:
    with pytest.raises(DeclarationError, match="cron 'every monday' cannot be"):
        Blueprint("mail").cron("every monday")


def test_it_travels() -> None:
    app, mail = make("traveller"), Blueprint("mail")
    mail.task(importable)
    mail.every("5m", name="often")(importable)
    app.blueprint(mail)
    arrived: Any = pickle.loads(pickle.dumps(app))
    assert names(arrived) == ["traveller.mail.importable", "traveller.mail.often"]
    spec = arrived.blueprints["mail"].work_specs[0]
    assert spec.task.of(arrived).name == "traveller.mail.importable"
