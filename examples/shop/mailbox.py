"""A mail server for trying things out: it keeps letters as files. In earnest, name a real one.

Rules of this file: as much of RFC 5321 as smtplib says, and no more.
"""

import itertools
import os
import socketserver
from pathlib import Path

DATA = Path(os.environ.get("SHOP_DATA", Path(__file__).parent / "data"))
PORT = int(os.environ.get("SHOP_MAIL_PORT", "2525"))
numbers = itertools.count(1)


class Session(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self) -> None:
        """Take letters until the client leaves."""
        self.say("220 mailbox")
        for line in self.rfile:
            verb = line[:4].upper().strip()
            if verb == b"QUIT":
                self.say("221 bye")
                return
            if verb == b"DATA":
                self.say("354 go on")
                self.keep()
            self.say("250 ok")

    def keep(self) -> None:
        """Write one letter down."""
        lines = iter(self.rfile.readline, b".\r\n")
        text = b"".join(line.removeprefix(b".") for line in lines)
        (DATA / "mail").mkdir(parents=True, exist_ok=True)
        (DATA / "mail" / f"{os.getpid()}-{next(numbers)}.eml").write_bytes(text)

    def say(self, text: str) -> None:
        """Answer one line."""
        self.wfile.write(f"{text}\r\n".encode())


class Server(socketserver.ThreadingTCPServer):
    """Serves each client in a thread."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", PORT), Session) as server:
        print(f"letters are taken at port {PORT}", flush=True)
        server.serve_forever()
