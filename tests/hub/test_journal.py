"""The file that keeps histories when the hub's process is killed."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.peers import Client
from vivace.hub import journal as module
from vivace.hub.exchange import Exchange
from vivace.hub.journal import Journal
from vivace.hub.records import Outgoing, Past, Position, Rule

RULE = Rule("*", "resume", 3)


_made: list[Journal] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


def make(path: Path) -> Exchange:
    _made.append(Journal(str(path)))
    return Exchange(keeper=_made[-1], clock=lambda: 100.0)


def kill() -> None:
    """What the kernel does with the file of a killed process."""
    _made[-1].close()


def say(exchange: Exchange, text: str, topic: str = "a", message_id: str = "") -> Position:
    position = exchange.publish(Outgoing(topic, text.encode(), RULE, message_id or text, "o"))
    assert isinstance(position, Position)
    return position


def begin(path: Path) -> Exchange:
    exchange = make(path)
    exchange.declare(Client(), [RULE])
    return exchange


def missed(exchange: Exchange, topic: str, since: Position | None) -> Past:
    past = exchange.past(topic, since, 100)
    assert isinstance(past, Past)
    return past


async def test_a_hub_goes_on_where_the_killed_one_was(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    before = begin(path)
    positions = [say(before, text) for text in "12345"]
    kill()
    after = make(path)
    assert after.rules.of("a") == RULE
    assert [one.payload for one in missed(after, "a", positions[2]).messages] == [b"4", b"5"]
    assert not missed(after, "a", positions[0]).complete
    assert say(after, "6") == Position(positions[0].epoch, 6)
    assert say(after, "again", message_id="5") == positions[4]


async def test_it_stays_right_when_it_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FLOOR", 2000)
    path = tmp_path / "journal"
    before = begin(path)
    positions = [say(before, f"text {number}") for number in range(300)]
    assert path.stat().st_size < 12_000
    kill()
    after = make(path)
    assert len(missed(after, "a", positions[-4]).messages) == 3
    assert not missed(after, "a", positions[-5]).complete
    assert say(after, "again", message_id="text 7") == positions[7]
    assert [file.name for file in tmp_path.iterdir()] == ["journal"]


async def test_a_record_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    before = begin(path)
    first, _ = say(before, "1"), say(before, "2")
    kill()
    path.write_bytes(path.read_bytes()[:-3])
    assert [one.payload for one in missed(make(path), "a", None).messages] == [b"1"]
    assert first.offset == 1


async def test_after_a_crash_of_the_machine_the_epoch_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    before = begin(path)
    position = say(before, "1")
    kill()
    monkeypatch.setattr(module, "_boot", lambda: "another")
    after = make(path)
    assert [one.payload for one in missed(after, "a", None).messages] == [b"1"]
    assert not missed(after, "a", position).complete


async def test_a_file_has_one_hub(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal"
    begin(path)
    with caplog.at_level(logging.WARNING):
        two = begin(path)
    assert "another hub uses it" in caplog.text
    say(two, "nobody keeps it")
    _made[0].close()
    assert missed(make(path), "a", None).messages == []


async def test_a_full_disk_is_said_and_the_hub_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    journal = Journal(str(tmp_path / "journal"))
    exchange = Exchange(keeper=journal)
    exchange.declare(Client(), [RULE])
    journal._file.close()  # type: ignore[union-attr]
    journal._file = Full()  # type: ignore[assignment]
    assert say(exchange, "1").offset == 1
    assert say(exchange, "2").offset == 2
    assert caplog.text.count("No space left on device: histories end with this process") == 1


async def test_it_is_for_its_user_only(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    begin(path)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["journal", "journal.{pid}"])
async def test_no_link_of_a_stranger_is_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    (tmp_path / name.format(pid=os.getpid())).symlink_to(other)
    exchange = begin(tmp_path / "journal")
    say(exchange, "1")
    assert other.read_bytes() == b"precious"
    assert ("it is a symbolic link" in caplog.text) is (name == "journal")
