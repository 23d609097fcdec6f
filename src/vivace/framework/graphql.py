"""The method of an app that serves a GraphQL schema.

Rules of this file:

- Nothing of GraphQL is imported before an app serves a schema: `vivace.ext.graphql` knows how.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Final

from vivace.errors import DeclarationError

__all__ = ["Queryable"]

_HOME: Final = "vivace.ext.graphql.mount"
"""An extension, which stands above the framework: it is called by its name, as those of `Extend` are."""


class Queryable:
    """What an app can do with a GraphQL schema."""

    __slots__ = ()

    def graphql(
        self,
        path: str,
        schema: Any,
        *,
        subscriptions: bool = True,
        context: Callable[[Any], Any | Awaitable[Any]] | None = None,
        root: Any = None,
        on_connect: Callable[[Any], Any | Awaitable[Any]] | None = None,
        name: str = "graphql",
        graphiql: bool | None = None,
        introspection: bool = True,
        middleware: Any = None,
        threads: Any = False,
        expose: tuple[type[Exception], ...] = (),
        compress: bool = True,
        **more: Any,
    ) -> Any:
        """Serve a GraphQL schema: queries, mutations and subscriptions, at one address.

        WebSockets speak ``graphql-transport-ws`` and the older ``graphql-ws``, as their client chooses.

        Args:
            path: Such as ``/graphql``.
            schema: Of graphene 3, strawberry, ariadne or graphql-core; or an `Engine` of your own.
            subscriptions: Open WebSockets and serve subscriptions, over them and as server-sent events.
            context: Given a `Context`, makes what resolvers get as ``info.context``; or a coroutine function.
                Default: the `Context`.
            root: What resolvers of the root types get first; a function is called with the context.
            on_connect: Called with the `Context` of a WebSocket whose client introduced itself, by its
                ``payload``; may be a coroutine function. False, or an exception with a status below 500,
                refuses; a dict is sent back with the welcome.
            name: Of the route.
            graphiql: Show a page to browsers. Default: with DEBUG.
            introspection: Whether clients may ask for the schema.
            middleware: Functions around resolvers, as graphql-core has them.
            threads: Execute in threads, so that resolvers that are plain functions may block: True, or a
                function that calls another one in a thread, such as `vivace.contrib.django.orm.in_thread`.
            expose: Exceptions whose messages clients are told; see `vivace.ext.graphql.errors`.
            compress: Compress messages of WebSockets for clients that offer it.
            more: ``user``: tells who an operation belongs to, given what `context` made; limits in place of
                the settings ``GRAPHQL_...``, such as ``max_depth=10``.

        Returns:
            The `Endpoint`.

        Raises:
            DeclarationError: `schema` is none, a limit cannot be, or graphql-core is not installed.
        """
        try:
            mount = import_module(_HOME)
        except ModuleNotFoundError as error:
            if error.name != "graphql":
                raise
            raise DeclarationError("app.graphql() needs graphql-core: pip install vivace[graphql]") from None
        return mount.mount_graphql(
            self,
            path,
            schema,
            subscriptions=subscriptions,
            context=context,
            root=root,
            on_connect=on_connect,
            name=name,
            graphiql=graphiql,
            introspection=introspection,
            middleware=middleware,
            threads=threads,
            expose=expose,
            compress=compress,
            **more,
        )
