"""A real rsyslogd of a test's own: on a free port, over UDP, TCP and TLS, what it gets in a file.

Rules of this file:

- It runs as whoever runs the tests, with a configuration, a state folder and a pid file of its own.
"""

import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.services.daemon import Daemon

__all__ = ["Rsyslog"]

_TEMPLATE = (
    'template(name="plain" type="string" string="%syslogfacility-text%.%syslogseverity-text% %app-name%'
    ' %procid% %timereported:::date-rfc3339% %msg%\\n")\n'
)


class Rsyslog(Daemon):
    """A running rsyslogd.

    Args:
        folder: Of its own.
        tls: Certificate authority, certificate and key: it speaks TLS over TCP.
        octets: The longest message that it takes.

    Attributes:
        udp: Its port for datagrams.
    """

    def __init__(self, folder: Path, tls: tuple[str, str, str] | None = None, octets: int = 65536) -> None:
        program = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin:/sbin")
        if program is None:
            pytest.skip("rsyslogd is not installed (Debian packages rsyslog, rsyslog-gnutls)")
        if tls and not any(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
            pytest.skip("rsyslogd knows no TLS (Debian package rsyslog-gnutls)")
        port, self.udp = find_free_port(), find_free_port()
        self._file = folder / "received.log"
        driver = ""
        lines = [f'global(workDirectory="{folder}" maxMessageSize="{octets}")']
        if tls:
            ca, cert, key = tls
            files = f'CAFile="{ca}" CertFile="{cert}" KeyFile="{key}"'.replace(" ", " defaultNetstreamDriver")
            lines[0] = f'{lines[0][:-1]} defaultNetstreamDriver="gtls" defaultNetstreamDriver{files})'
            driver = ' streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon"'
        lines += [
            f'module(load="imtcp"{driver})\nmodule(load="imudp")',
            f'input(type="imtcp" port="{port}" address="127.0.0.1")',
            f'input(type="imudp" port="{self.udp}" address="127.0.0.1")',
            _TEMPLATE + f'action(type="omfile" file="{self._file}" template="plain")',
        ]
        (folder / "rsyslog.conf").write_text("\n".join(lines) + "\n")
        command = [program, "-n", "-f", str(folder / "rsyslog.conf"), "-i", str(folder / "rsyslog.pid")]
        super().__init__(command, port, folder)

    def lines(self, count: int, patience: float = 15.0) -> list[str]:
        """What it has received, once that are `count` lines."""
        until = time.monotonic() + patience
        found: list[str] = []
        while time.monotonic() < until:
            found = self._file.read_text().split("\n")[:-1] if self._file.exists() else []
            if len(found) >= count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{len(found)} lines instead of {count}: {found[-3:]}")
