"""The folder that a server was started in, by the name under which that was done.

A deploy puts a release into a folder of its own and lets a symbolic link lead there. A process that was
started in ``/srv/shop/current`` is in the release that this was then, and stays there; new code has to be
looked for where the name leads now.

Rules of this file:

- The name is what the shell said in PWD, if it was true at the start; else nobody knows any other name.
- Where the name leads nowhere any more nothing is loaded: the old code serves.
"""

import logging
import os
import sys
from collections.abc import Mapping

__all__ = ["Home"]

logger = logging.getLogger("vivace")


class Home:
    """Where new code is.

    Args:
        environ: Has PWD, or not.

    Attributes:
        name: The folder by its name; empty if there is none beside what the system says.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        name = environ.get("PWD", "")
        self.name = name if _is_other_name(name) else ""

    def follow(self) -> None:
        """Go where the name leads now.

        Raises:
            OSError: It leads nowhere.
        """
        if not self.name:
            return
        before = _here()
        os.chdir(self.name)
        now = os.getcwd()
        if now == before:
            return
        logger.info("the code is in %s now", now)
        for index, place in enumerate(sys.path):
            if before and (place == before or place.startswith(before + os.sep)):
                sys.path[index] = now + place[len(before) :]


def _is_other_name(name: str) -> bool:
    """Whether it is an absolute name of the folder that we are in, and not the one that the system gives."""
    try:
        return os.path.isabs(name) and os.path.samefile(name, ".") and name != os.getcwd()
    except (OSError, ValueError):
        return False


def _here() -> str:
    """The folder that we are in; empty if it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return ""
