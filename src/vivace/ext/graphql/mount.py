"""Put a schema at an address of an app: the route behind `app.graphql`.

Rules of this file:

- One route answers GET, POST and the handshake of WebSockets: clients know one address.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from vivace.ext.graphql.endpoint import Endpoint
from vivace.ext.graphql.http import answer_request
from vivace.ext.graphql.socket import serve_socket
from vivace.framework.response import HTTPResponse
from vivace.framework.websocket import websocket_handler
from vivace.framework.websocket_options import take_options
from vivace.protocols.graphql_ws import SUBPROTOCOLS
from vivace.protocols.ws_handshake import is_handshake

if TYPE_CHECKING:
    from vivace.framework.app import Vivace
    from vivace.framework.request import Request

__all__ = ["mount_graphql"]


def mount_graphql(
    app: "Vivace[Any, Any]", path: str, schema: Any, *, name: str, compress: bool, **options: Any
) -> Endpoint:
    """Declare the route; see `vivace.framework.graphql.Queryable.graphql`."""
    endpoint = Endpoint(app, schema, **options)

    async def talk(request: "Request", ws: Any) -> None:
        await serve_socket(endpoint, request, ws)

    open_socket = websocket_handler(talk, take_options({}, SUBPROTOCOLS, compress))

    async def answer(request: "Request") -> HTTPResponse | None:
        if request.head.upgrade and endpoint.subscriptions and is_handshake(request.head):
            await open_socket(request)
            return None
        return await answer_request(endpoint, request)

    app.add_route(answer, path, methods=["GET", "POST"], name=name, error_format="json")
    app.register_listener(partial(_start, endpoint), "before_server_start", priority=1)
    return endpoint


def _start(endpoint: Endpoint, _app: Any) -> None:
    endpoint.fix()
