"""The folder in which a machine keeps what has to outlive its processes."""

import os
from pathlib import Path

__all__ = ["make_folder", "state_folder"]


def state_folder() -> Path:
    """STATE_DIRECTORY of systemd, or ``.vivace`` in the folder where the server was started."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else Path.cwd() / ".vivace"


def make_folder(folder: Path) -> None:
    """Make a folder that is nobody else's business, and that git does not see.

    Raises:
        OSError: It cannot be made.
    """
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / ".gitignore").write_text("*\n")
