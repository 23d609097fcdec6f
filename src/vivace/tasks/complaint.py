"""A word about something that goes on: said when it begins and when it is over, not each time it is met."""

import logging

__all__ = ["Complaint"]


class Complaint:
    """Something that may be wrong for a while.

    Args:
        logger: Where it is said.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said = ""

    def say(self, text: str) -> None:
        """It is wrong: said unless it was the last thing that was said."""
        if text != self._said:
            self._said = text
            self._logger.error(text)

    def over(self) -> None:
        """It is well."""
        if self._said:
            self._logger.info("over: %s", self._said)
            self._said = ""
