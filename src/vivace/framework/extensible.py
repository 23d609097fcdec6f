"""What extensions stand on: a look at every route before it is served, and a place to be found at.

Rules of this file:

- Nothing of it runs per request: routes are amended when they are compiled.
- The framework knows no extension: `vivace.ext` gives itself to the app.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vivace.framework.automatic import Automatic
from vivace.framework.route import Route
from vivace.protocols.events import RequestReceived

if TYPE_CHECKING:
    from vivace.framework.router import Router

__all__ = ["Amender", "Extensible"]

Amender = Callable[[list[Route]], list[Route]]
"""Is given every freshly compiled route of an app and gives what is served in their place."""


class Extensible:
    """What an app has for extensions."""

    __slots__ = ()

    if TYPE_CHECKING:
        _amenders: list[Amender]
        _automatic: dict[str, Callable[..., Any] | None]
        _ext: Any
        _router: Router | None

        def changed(self) -> None:
            """Compile again if the server is running already."""

    @property
    def ext(self) -> Any:
        """The extensions of this app: what ``Extend(app)`` made.

        Raises:
            AttributeError: The app was not extended.
        """
        if self._ext is None:
            raise AttributeError("ext")  # the app's `__getattr__` says more
        return self._ext

    def amend_routes(self, amender: Amender) -> None:
        """Let `amender` change routes before they are served: now, and whenever routes are compiled again.

        It may replace the handler and the kind of a route, add routes and leave some out. Middleware is laid
        around what it gives. A handler may then take more than the request and the values of its path.

        Args:
            amender: Called with all routes, those of blueprints too.
        """
        self._amenders.append(amender)
        self.changed()

    def answer_automatically(self, methods: Automatic) -> None:
        """Say which methods are answered where no route declares them.

        Args:
            methods: Method -> a coroutine function of the request and of ``allowed``, the methods of the path
                with commas between them. HEAD with None is answered by the handler of GET.
        """
        self._automatic.clear()
        self._automatic.update(methods)
        self.changed()

    def find_route(self, head: RequestReceived, method: str) -> Route | None:
        """The declared route for the path and host of a request, but another method; None if there is none.

        Args:
            head: Of the request.
            method: Such as ``POST``.
        """
        return None if self._router is None else self._router.find(head.path, method, head.host)
