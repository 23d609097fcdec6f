"""A class of requests that counts them: ``Vivace("shop", request_class=CountedRequest)``."""

import itertools
from typing import Any, ClassVar

from vivace.framework.request import Request

__all__ = ["CountedRequest"]


class CountedRequest(Request):
    """A request that knows how many there were in this process.

    Attributes:
        count: Of a request, its number, from 1; of the class, how many there were.
    """

    __slots__ = ()

    count: ClassVar[int] = 0
    _counter: ClassVar[Any] = itertools.count(1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        type(self).count = next(self._counter)

    @classmethod
    def reset_count(cls) -> None:
        """Begin again with 1."""
        cls._counter = itertools.count(1)
        cls.count = 0
