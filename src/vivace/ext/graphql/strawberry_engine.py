"""The engine for schemas of strawberry, which has its own extensions, contexts and log.

Such a schema executes by its own methods, so that its extensions run. It is given the document as it was read
and checked here, by an extension of ours: that is its documented way to do so.

Rules of this file:

- strawberry is imported by whoever serves a schema of it, so it is there when this file is.
- Its subscriptions execute events where nobody can count fields (graphql-core 3.2 takes no execution context
  there): a result is counted when it is there, and one that is too large is the last one.
"""

import copy
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, cast

from graphql import DocumentNode, ExecutionResult, GraphQLError, specified_rules
from strawberry.extensions import SchemaExtension

from vivace.ext.graphql.core import CoreEngine
from vivace.ext.graphql.counting import TOO_MANY, has_more_fields
from vivace.ext.graphql.engine import Outcome, Wanted

__all__ = ["StrawberryEngine"]


class _Query(str):
    """The text of a document, with what it was read as."""

    __slots__ = ("tree",)

    tree: DocumentNode


class _Known(SchemaExtension):
    """Gives the document that was read, and leaves out the rules by which it was checked."""

    def on_parse(self) -> Iterator[None]:
        known = self.execution_context
        if isinstance(known.query, _Query):
            known.graphql_document = known.query.tree
        yield

    def on_validate(self) -> Iterator[None]:
        known = self.execution_context
        known.validation_rules = tuple(rule for rule in known.validation_rules if rule not in specified_rules)
        yield


class StrawberryEngine(CoreEngine):
    """A schema of strawberry.

    Args:
        schema: Of strawberry.
        options: Of `CoreEngine`.
    """

    logs = True

    def __init__(self, schema: Any, **options: Any) -> None:
        super().__init__(schema._schema, **options)
        # A copy: another address may serve the same schema with other limits.
        self._own = copy.copy(schema)
        self._own.execution_context_class = self._count_in(schema.execution_context_class)
        self._own.extensions = [*schema.extensions, _Known]

    async def execute(self, wanted: Wanted) -> Outcome:
        """Execute a query or a mutation."""
        return cast("Outcome", await self._own.execute(_query(wanted), **_words(wanted)))

    async def subscribe(self, wanted: Wanted) -> AsyncIterator[Outcome] | Outcome:
        """Begin a subscription."""
        begun = await self._own.subscribe(_query(wanted), **_words(wanted))
        if self._max_fields and isinstance(begun, AsyncIterator):
            return self._count_each(begun)
        return cast("AsyncIterator[Outcome] | Outcome", begun)

    async def _count_each(self, results: Any) -> AsyncGenerator[Outcome, None]:
        try:
            async for result in results:
                if has_more_fields(result.data, self._max_fields):
                    yield ExecutionResult(None, [GraphQLError(TOO_MANY % self._max_fields)])
                    return
                yield result
        finally:
            await results.aclose()


def _query(wanted: Wanted) -> _Query:
    query = _Query(wanted.document.source)
    query.tree = wanted.document.tree
    return query


def _words(wanted: Wanted) -> dict[str, Any]:
    return {
        "variable_values": wanted.variables,
        "context_value": wanted.context,
        "root_value": wanted.root,
        "operation_name": wanted.name,
    }
