"""How a program is noted for the next server."""

import os
from pathlib import Path

from vivace.supervisor.beside.program import Record


def test_what_is_noted_is_nobody_elses_business(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        record = Record("tunnel", str(tmp_path))
        os.close(record.open_log())
        for _ in range(2):
            record.write(os.getpid(), ["tunnel", "--password", "secret"])
    finally:
        os.umask(before)
    assert (tmp_path / ".vivace").stat().st_mode & 0o777 == 0o700
    for name in ("daemon-tunnel.json", "daemon-tunnel.log"):
        assert (tmp_path / ".vivace" / name).stat().st_mode & 0o777 == 0o600
    assert record.find(["tunnel", "--password", "secret"]) == os.getpid()
    assert record.find(["tunnel"]) == 0
