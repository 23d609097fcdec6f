"""A hub's process for tests, on a socket that the test keeps, as the supervisor does."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

CODE = """
import socket, sys
from vivace.config import Config
from vivace.hub.process import main
sys.exit(main(socket.socket(fileno=int(sys.argv[1])), Config.load()))
"""


class HubProcess:
    """The process of a hub, which may be killed and made again."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.path = str(folder / "hub")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.environ = {**os.environ, **{f"VIVACE_{name}": str(value) for name, value in settings.items()}}
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    def start(self) -> None:
        number = self.listener.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(number)], pass_fds=[number], env=self.environ
        )

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it without a chance to say anything."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """Ask it to end, and give its status."""
        assert self.process is not None
        self.signal(signal.SIGCONT)
        self.process.terminate()
        code = self.process.wait(5)
        self.process = None
        return code

    def close(self) -> None:
        self.kill()
        self.listener.close()
