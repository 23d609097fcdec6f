"""What control groups of both versions say of memory, inside and outside of containers."""

from pathlib import Path

import pytest

from vivace.supervisor.system.cgroup import free_memory, oom_kills

MIB = 1 << 20


class Machine:
    """Files as a system would have them."""

    def __init__(self, folder: Path, own: str, available: int | None = None) -> None:
        self.proc, self.groups = folder / "proc", folder / "cgroup"
        self.write(self.proc / "self/cgroup", own)
        if available is not None:
            self.write(self.proc / "meminfo", f"MemTotal: 1 kB\nMemAvailable:   {available // 1024} kB\n")

    def write(self, file: Path, text: object) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    def kills(self) -> int:
        return oom_kills(self.proc, self.groups)

    def free(self) -> int | None:
        return free_memory(self.proc, self.groups)


@pytest.mark.parametrize(
    ("own", "file"),
    [
        ("0::/web.slice/x", "web.slice/x/memory.events"),
        ("0::/of/the/host", "memory.events"),
        ("5:devices:/\n4:cpu,memory:/box\n0::/", "memory/box/memory.oom_control"),
        ("4:memory:/of/the/host", "memory/memory.oom_control"),
    ],
)
def test_the_counter_of_killed_processes_is_found(tmp_path: Path, own: str, file: str) -> None:
    machine = Machine(tmp_path, own)
    machine.write(machine.groups / file, "oom 9\noom_kill 4")
    assert machine.kills() == 4


@pytest.mark.parametrize("text", ["", "low 0", "oom_kill many", "oom_kill -1", "xoom_kill 3"])
def test_what_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    machine = Machine(tmp_path, "0::/")
    machine.write(machine.groups / "memory.events", text)
    assert machine.kills() == 0
    assert oom_kills(tmp_path / "missing", tmp_path) == 0


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_left_of_the_group_is_free(tmp_path: Path, version: int) -> None:
    machine = Machine(tmp_path, "4:memory:/box" if version == 1 else "0::/box", 1000 * MIB)
    folder = machine.groups / ("memory/box" if version == 1 else "box")
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    names = names if version == 1 else ("memory.max", "memory.current", "inactive_file")
    machine.write(folder / names[0], 512 * MIB)
    machine.write(folder / names[1], 400 * MIB)
    assert machine.free() == 112 * MIB
    machine.write(folder / "memory.stat", f"anon 7\n{names[2]} {50 * MIB}\nfile 9")
    assert machine.free() == 162 * MIB
    machine.write(folder / names[1], 900 * MIB)
    assert machine.free() == 0


def test_without_a_limit_the_machine_counts(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "0::/", 300 * MIB)
    machine.write(machine.groups / "memory.max", "max")
    machine.write(machine.groups / "memory.current", 9)
    assert machine.free() == 300 * MIB
    assert Machine(tmp_path / "other", "0::/").free() is None


def test_this_machine_has_memory() -> None:
    free = free_memory()
    assert free is None or free > 0
