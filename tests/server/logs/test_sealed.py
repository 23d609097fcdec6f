"""Sealed datagrams: only who has the key reads them, each counts once, and what is missing is known."""

import hashlib
import hmac
import os
import socket
import struct
import time
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="cryptography is not installed (the extra `logs`)")

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from vivace.config import Config
from vivace.config.places import parse_place
from vivace.errors import ConfigError
from vivace.server.logs import sealed
from vivace.server.logs.places import make_place
from vivace.server.logs.sealed import Opener, Sealer, read_keys
from vivace.server.logs.shipper import Entry, Shipper

OLD, NEW = "0b" * 32, "c4" * 32
NOW = 1_800_000_000.0


def opener(keys: str = OLD, window: float = 60.0) -> Opener:
    return Opener(read_keys("", keys), window)


def sealer(key: str = OLD) -> Sealer:
    return Sealer(read_keys("", key)[0])


def test_what_is_sealed_is_opened_once() -> None:
    sender, receiver = sealer(), opener()
    data = sender.seal("ñandú".encode(), NOW)
    assert "ñandú".encode() not in data
    assert receiver.open(data, NOW) == "ñandú".encode()
    assert receiver.open(data, NOW) is None
    assert (receiver.taken, dict(receiver.refused), receiver.lost) == (1, {"repeated": 1}, 0)


def test_a_datagram_is_what_the_page_says() -> None:
    """A receiver that somebody else has written, from the description alone."""
    data = sealer().seal(b"hello", NOW)
    magic, name, session, count, stamp = struct.unpack(">4s8s16sQQ", data[:44])
    key = bytes.fromhex(OLD)
    assert (magic, name) == (b"VLG1", hashlib.sha256(key).digest()[:8])
    assert (count, stamp) == (1, int(NOW * 1000))
    box = ChaCha20Poly1305(hmac.digest(key, b"vivace log 1" + session, "sha256"))
    assert box.decrypt(bytes(4) + struct.pack(">Q", count), data[44:], data[:44]) == b"hello"


@pytest.mark.parametrize("at", [0, 4, 12, 28, 36, 44, -1])
def test_nothing_of_it_can_be_changed(at: int) -> None:
    receiver = opener()
    data = bytearray(sealer().seal(b"hello", NOW))
    data[at] ^= 1
    assert receiver.open(bytes(data), NOW) is None
    why = {0: "no datagram of this kind", 4: "unknown key"}.get(at, "forged")
    assert receiver.refused == {why: 1}


def test_a_datagram_that_is_cut_off_is_refused_whatever_is_left() -> None:
    receiver = opener()
    data = sealer().seal(b"hello", NOW)
    for length in range(len(data)):
        assert receiver.open(data[:length], NOW) is None
    assert receiver.refused == {"no datagram of this kind": 60, "forged": 5}
    assert receiver.open(data, NOW) == b"hello"


def test_who_has_another_key_is_refused() -> None:
    receiver = opener()
    assert receiver.open(sealer(NEW).seal(b"hello", NOW), NOW) is None
    assert receiver.refused == {"unknown key": 1}


def test_keys_can_be_exchanged_one_after_the_other() -> None:
    receiver = opener(f"{NEW} {OLD}")
    assert [receiver.open(sealer(key).seal(b"x", NOW), NOW) for key in (OLD, NEW)] == [b"x", b"x"]
    old = sealer(OLD)
    assert receiver.open(old.seal(b"x", NOW), NOW) == b"x"
    receiver.keys = {key.name: key for key in read_keys("", NEW)}
    assert receiver.open(old.seal(b"x", NOW), NOW) is None
    assert receiver.refused == {"unknown key": 1}


@pytest.mark.parametrize(("off", "good"), [(60.0, True), (60.001, False), (-60.0, True), (-60.001, False)])
def test_the_window_has_two_ends(off: float, good: bool) -> None:
    receiver = opener()
    assert (receiver.open(sealer().seal(b"x", NOW), NOW + off) is not None) is good
    assert receiver.refused["too old"] == (not good)


@pytest.mark.parametrize(("late", "good"), [(1023, True), (1024, False)])
def test_datagrams_come_late_and_in_any_order(late: int, good: bool) -> None:
    sender, receiver = sealer(), opener()
    made = [sender.seal(b"%d" % number, NOW) for number in range(late + 1)]
    assert receiver.open(made[-1], NOW)
    assert (receiver.open(made[0], NOW) is not None) is good
    assert receiver.open(made[0], NOW) is None
    for data in reversed(made[1:-1]):
        assert receiver.open(data, NOW) is not None
    assert receiver.lost == 0


def test_what_is_missing_is_known() -> None:
    sender, receiver = sealer(), opener()
    made = [sender.seal(b"x", NOW) for _ in range(3000)]
    for number in (0, 1, 5, 2999):
        receiver.open(made[number], NOW)
    assert receiver.lost == 2996
    receiver.open(made[2998], NOW)
    assert receiver.lost == 2995


def test_senders_are_bounded_and_forgotten_when_they_are_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SESSIONS", 2)
    receiver = opener()
    first, kept = sealer(), sealer().seal(b"x", NOW)
    old = first.seal(b"x", NOW)
    assert receiver.open(old, NOW)
    first.seal(b"lost", NOW)
    assert receiver.open(first.seal(b"x", NOW), NOW)
    assert receiver.open(kept, NOW)
    assert receiver.open(sealer().seal(b"x", NOW + 120), NOW + 120) is None
    assert receiver.refused == {"too many senders": 1}
    assert receiver.open(sealer().seal(b"x", NOW + 120.1), NOW + 120.1)
    assert receiver.lost == 1
    assert receiver.open(old, NOW + 120.1) is None
    assert receiver.refused["too old"] == 1


def udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(30.0)
    return made


@pytest.mark.parametrize(("size", "text"), [("", "x" * 1140), ("", "x" * 1141), ("&size=480", "x" * 421)])
def test_a_datagram_is_never_too_long(size: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"# of 2026\n{OLD}\n")
    path.chmod(0o600)
    with udp() as ear:
        port = ear.getsockname()[1]
        place = make_place(parse_place(f"udp+aead://127.0.0.1:{port}?key={path}{size}"), "shop")
        place.send([Entry(NOW, 20, text), Entry(NOW, 20, "a\nb", 2)])
        first, second, third = (ear.recv(70_000) for _ in range(3))
        place.close()
    most = 480 if size else 1200
    assert len(first) == most
    receiver = opener()
    line = receiver.open(first, time.time())
    assert line == (text.encode() if len(text) == most - 60 else b"x" * (most - 60 - 8) + b"...[cut]")
    assert [receiver.open(data, time.time()) for data in (second, third)] == [b"a", b"b"]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_has_a_session_of_its_own() -> None:
    with udp() as ear:
        port = ear.getsockname()[1]
        place = make_place(parse_place(f"udp+aead://127.0.0.1:{port}"), "shop", OLD)
        shipper = Shipper(place, 10)
        shipper.put(Entry(NOW, 20, "parent"))
        receiver = opener()
        assert receiver.open(ear.recv(70_000), time.time()) == b"parent"
        pid = os.fork()
        if pid == 0:
            shipper.put(Entry(NOW, 20, "child"))
            shipper.close()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert receiver.open(ear.recv(70_000), time.time()) == b"child"
        shipper.put(Entry(NOW, 20, "parent again"))
        assert receiver.open(ear.recv(70_000), time.time()) == b"parent again"
        shipper.close()


def test_a_new_key_is_read_when_files_are_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "key"
    path.write_text(OLD)
    path.chmod(0o400)
    with udp() as ear:
        place = make_place(parse_place(f"udp+aead://127.0.0.1:{ear.getsockname()[1]}?key=key"), "shop")
        monkeypatch.chdir("/")  # as the app may
        receiver = opener(f"{OLD},{NEW}")
        for text in ("broken", NEW):
            path.chmod(0o600)
            path.write_text(text)
            if text == "broken":
                with pytest.raises(OSError, match="key 1 is none"):
                    place.reopen()
            else:
                place.reopen()
            place.send([Entry(NOW, 20, "x")])
            data = ear.recv(70_000)
            assert receiver.open(data, time.time()) == b"x"
            assert data[4:12] == hashlib.sha256(bytes.fromhex(NEW if text == NEW else OLD)).digest()[:8]
        place.close()


@pytest.mark.parametrize(("mode", "good"), [(0o600, True), (0o440, True), (0o604, False), (0o620, False)])
def test_a_key_that_others_may_read_is_none(mode: int, good: bool, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(OLD)
    path.chmod(mode)
    if good:
        assert read_keys(str(path))[0].secret == bytes.fromhex(OLD)
    else:
        with pytest.raises(ConfigError, match=f"has the mode {mode:o}: others may"):
            read_keys(str(path))


def test_a_file_with_keys_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(OLD.ljust(65_536))
    path.chmod(0o600)
    assert len(read_keys(str(path))) == 1
    path.write_text(OLD.ljust(65_537))
    with pytest.raises(ConfigError, match="more than 65536 octets"):
        read_keys(str(path))


@pytest.mark.parametrize("text", ["0b" * 31, "0b" * 33, "no" * 32, f"{OLD} mine"])
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="64 hexadecimal digits") as refusal:
        read_keys("", text)
    assert not any(word in str(refusal.value) for word in text.split())


def test_a_place_without_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LOG_KEY: no key"):
        make_place(parse_place("udp+aead://127.0.0.1"), "shop")
    with pytest.raises(ConfigError, match="none cannot be read: No such file"):
        make_place(parse_place(f"udp+aead://127.0.0.1?key={tmp_path}/none"), "shop")


def test_a_key_is_shown_nowhere() -> None:
    config = Config(LOG_TO="udp+aead://127.0.0.1", LOG_KEY=OLD)
    assert OLD not in repr(config.as_rows()) + repr(config)
    assert make_place(parse_place("udp+aead://127.0.0.1"), "shop", OLD).name == "udp+aead://127.0.0.1"
