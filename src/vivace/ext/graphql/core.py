"""Engines for schemas that stand on graphql-core 3.2 or later: graphene, strawberry, ariadne, its own.

Rules of this file:

- graphql-core is imported by whoever serves a schema, so it is there when this file is.
- A strawberry schema executes by its own methods (see `strawberry_engine`), others by graphql-core's.
- Limits are checked while a document is read or checked; only fields are counted while it is executed.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final, cast

import graphql
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    TokenKind,
)
from graphql.validation import NoSchemaIntrospectionCustomRule, specified_rules

from vivace.errors import DeclarationError
from vivace.ext.graphql.counting import make_counting
from vivace.ext.graphql.engine import Document, Engine, Kind, Outcome, Wanted
from vivace.ext.graphql.weight import find_excess

__all__ = ["CoreEngine", "Runner", "make_engine", "measure_depth"]

_TAKES_TOKENS: Final = "max_tokens" in inspect.signature(graphql.parse).parameters
_GIVES_SOURCES: Final = "schema" in inspect.signature(graphql.create_source_event_stream).parameters
"""graphql-core 3.2 lets the events of a subscription be executed by others; later ones do it themselves."""
Runner = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls a function somewhere else and gives what it returns."""
MAX_ERRORS: Final = 20
"""What is wrong with a document is told up to so many times."""


class CoreEngine:
    """A schema of graphql-core.

    Args:
        schema: What is served.
        max_tokens: Of a document; what it costs to check one is bounded in proportion. 0: any.
        max_depth: Levels of selections in an operation; 0: any.
        max_fields: That are resolved for a result; 0: any. graphql-core 3.2 only.
        introspection: Whether clients may ask for the schema.
        middleware: Functions around resolvers, or a `MiddlewareManager`.
        threads: Execute in threads, so that resolvers that are plain functions may block. A function: what
            calls another one in a thread; True: `asyncio.to_thread`.
    """

    logs = False

    def __init__(
        self,
        schema: "graphql.GraphQLSchema",
        *,
        max_tokens: int = 0,
        max_depth: int = 0,
        max_fields: int = 0,
        introspection: bool = True,
        middleware: Any = None,
        threads: bool | Runner = False,
    ) -> None:
        self.schema = schema
        self._runner: Runner | None = asyncio.to_thread if threads is True else threads or None
        self._parse_options: dict[str, Any] = (
            {"max_tokens": max_tokens} if max_tokens and _TAKES_TOKENS else {}
        )
        self._max_tokens = max_tokens
        self._max_depth = max_depth
        self._rules = [*specified_rules, *([] if introspection else [NoSchemaIntrospectionCustomRule])]
        self._middleware = middleware
        self._max_fields = max_fields if _GIVES_SOURCES else 0
        self._runs_in = self._count_in(None)

    def _count_in(self, base: Any) -> Any:
        """What graphql-core is to execute operations in, so that their fields are counted."""
        return make_counting(base or graphql.ExecutionContext, self._max_fields) if self._max_fields else base

    def parse(self, source: str) -> Document:
        """Read a document."""
        try:
            tree = graphql.parse(source, **self._parse_options)
        except GraphQLError as error:
            return Document(source, None, [error])
        except RecursionError:
            return Document(source, None, [GraphQLError("the document nests too deeply")])
        kinds: dict[str | None, Kind] = {}
        for node in tree.definitions:
            if isinstance(node, graphql.OperationDefinitionNode):
                kinds[node.name.value if node.name else None] = node.operation.value
        return Document(source, tree, [], kinds, _count_tokens(tree))

    def validate(self, document: Document) -> Document:
        """Check a document against the schema and the limits."""
        excess = find_excess(document.tree, self._max_tokens) if self._max_tokens else None
        if excess is not None:
            document.errors = [GraphQLError(f"the document is too heavy: {excess} (GRAPHQL_MAX_TOKENS)")]
            return document
        try:
            errors = graphql.validate(self.schema, document.tree, self._rules, max_errors=MAX_ERRORS)
            if not errors and self._max_depth:
                errors = self._check_depth(document.tree)
        except RecursionError:
            errors = [GraphQLError("the document nests too deeply")]
        document.errors = errors
        return document

    def _check_depth(self, tree: DocumentNode) -> list[GraphQLError]:
        depth = measure_depth(tree)
        if depth <= self._max_depth:
            return []
        return [GraphQLError(f"the operation nests {depth} levels deep; {self._max_depth} are allowed")]

    async def execute(self, wanted: Wanted) -> Outcome:
        """Execute a query or a mutation."""
        return await self._execute(wanted, wanted.root)

    async def _execute(self, wanted: Wanted, root: Any) -> Outcome:
        execute = partial(
            graphql.execute,
            **self._arguments(wanted),
            root_value=root,
            middleware=self._middleware,
            execution_context_class=self._runs_in,
        )
        result = execute() if self._runner is None else await self._runner(execute)
        return cast("Outcome", await result if inspect.isawaitable(result) else result)

    async def subscribe(self, wanted: Wanted) -> AsyncIterator[Outcome] | Outcome:
        """Begin a subscription."""
        # Its own way of executing each event makes two tasks for it, which costs as much as all the rest.
        begin: Any = graphql.create_source_event_stream if _GIVES_SOURCES else graphql.subscribe
        # A coroutine in 3.2, an iterator or a coroutine in 3.3.
        result: Any = begin(**self._arguments(wanted), root_value=wanted.root)
        result = await result if inspect.isawaitable(result) else result
        if _GIVES_SOURCES and not isinstance(result, graphql.ExecutionResult):
            return self._execute_each(result, wanted)
        return cast("Outcome", result)

    async def _execute_each(self, source: Any, wanted: Wanted) -> AsyncGenerator[Outcome, None]:
        """The results of the events of a source."""
        try:
            async for event in source:
                yield await self._execute(wanted, event)
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _arguments(self, wanted: Wanted) -> dict[str, Any]:
        return {
            "schema": self.schema,
            "document": wanted.document.tree,
            "context_value": wanted.context,
            "variable_values": wanted.variables,
            "operation_name": wanted.name,
        }


def _count_tokens(tree: DocumentNode) -> int:
    """How many tokens a document has, as ``max_tokens`` counts them."""
    count, token = 0, tree.loc.start_token.next if tree.loc else None
    while token is not None and token.kind is not TokenKind.EOF:
        count += token.kind is not TokenKind.COMMENT
        token = token.next
    return count


def make_engine(schema: Any, **options: Any) -> Engine:
    """The engine for a schema of any library.

    Args:
        schema: Of graphql-core or ariadne, graphene or strawberry; or an `Engine`.
        options: Of `CoreEngine`.

    Raises:
        DeclarationError: It is none.
    """
    if isinstance(schema, graphql.GraphQLSchema):
        return CoreEngine(schema, **options)
    graphene_schema = getattr(schema, "graphql_schema", None)
    if isinstance(graphene_schema, graphql.GraphQLSchema):
        return CoreEngine(graphene_schema, **options)
    if isinstance(getattr(schema, "_schema", None), graphql.GraphQLSchema):
        if options.get("middleware"):
            raise DeclarationError("middleware= is not for strawberry: give its Schema extensions=[...]")
        if options.get("threads"):
            raise DeclarationError(
                "threads= is not for strawberry: make resolvers that block coroutine functions"
            )
        from vivace.ext.graphql.strawberry_engine import StrawberryEngine

        return StrawberryEngine(schema, **options)
    if all(callable(getattr(schema, name, None)) for name in ("parse", "validate", "execute", "subscribe")):
        return cast("Engine", schema)
    raise DeclarationError(
        f"{schema!r} is no GraphQL schema: expected one of graphql-core, ariadne, graphene 3 or strawberry"
    )


def measure_depth(tree: DocumentNode) -> int:
    """How deep the operations of a valid document nest; ``{ a { b } }`` has 2 levels.

    Fragments count where they are spread; they have no cycles, for the document is valid.
    """
    fragments = {
        node.name.value: node for node in tree.definitions if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, int] = {}

    def depth_of(node: Any) -> int:
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name not in known:
                known[name] = depth_of(fragments[name])
            return known[name]
        inner = node.selection_set
        below = max(map(depth_of, inner.selections), default=0) if inner else 0
        return below + isinstance(node, FieldNode)

    return max(
        (depth_of(node) for node in tree.definitions if isinstance(node, graphql.OperationDefinitionNode)),
        default=0,
    )
