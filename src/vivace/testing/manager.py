"""sanic_testing's manager: both clients of an app in one object.

Rules of this file: names are those of sanic_testing's documentation.
"""

from typing import Any

from vivace.framework.app import Vivace
from vivace.testing.pairs import SanicASGITestClient, SanicTestClient

__all__ = ["TestManager"]


class TestManager:
    """The clients for an app; from now on they are those that the app itself gives.

    Args:
        app: The app.

    Attributes:
        test_client: Serves the app on a real port for each request.
        asgi_client: Calls it in this process.
    """

    __test__ = False

    def __init__(self, app: Vivace[Any, Any]) -> None:
        self.test_client = SanicTestClient(app)
        self.asgi_client = SanicASGITestClient(app)
        app._clients |= {"test": self.test_client, "asgi": self.asgi_client, "manager": self}
