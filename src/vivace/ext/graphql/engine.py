"""The seam to what executes GraphQL: four steps, whatever library made the schema.

Rules of this file:

- Types only; `vivace.ext.graphql.core` implements them for everything that stands on graphql-core.
- An engine raises nothing for what a client has done wrong: that is in `Document.errors` and in results.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal, Protocol

__all__ = ["Document", "Engine", "Kind", "Outcome", "Wanted"]

Kind = Literal["query", "mutation", "subscription"]


class Outcome(Protocol):
    """What an execution gave.

    Attributes:
        data: None if there is none.
        errors: Objects with ``message``, ``path``, ``original_error`` and ``formatted``.
        extensions: Whatever the engine adds.
    """

    data: Any
    errors: Any
    extensions: Any


class Document:
    """What a client sent as ``query``: read and checked.

    Attributes:
        source: Its text.
        tree: What the engine reads it as; None if it cannot be read.
        errors: What is wrong with it; empty: it can be executed.
        kinds: Its operations by name; one without a name has None.
        tokens: How long it is; 0: that is not known.
    """

    __slots__ = ("errors", "kinds", "source", "tokens", "tree")

    def __init__(
        self,
        source: str,
        tree: Any,
        errors: Sequence[Any],
        kinds: dict[str | None, Kind] | None = None,
        tokens: int = 0,
    ) -> None:
        self.source = source
        self.tree = tree
        self.errors = errors
        self.kinds: dict[str | None, Kind] = kinds or {}
        self.tokens = tokens


class Wanted:
    """An operation that is to be executed.

    Attributes:
        document: Where it stands.
        name: Which one of it; None: the only one.
        variables: By name.
        context: What resolvers get as ``info.context``.
        root: What resolvers of the root types get first.
        extensions: What the client sent besides.
    """

    __slots__ = ("context", "document", "extensions", "name", "root", "variables")

    def __init__(
        self,
        document: Document,
        name: str | None,
        variables: dict[str, Any] | None,
        context: Any,
        root: Any = None,
        extensions: dict[str, Any] | None = None,
    ) -> None:
        self.document = document
        self.name = name
        self.variables = variables
        self.context = context
        self.root = root
        self.extensions = extensions


class Engine(Protocol):
    """A schema and what executes it."""

    logs: bool
    """Whether it logs what resolvers raise by itself."""

    def parse(self, source: str) -> Document:
        """Read a document."""
        ...

    def validate(self, document: Document) -> Document:
        """Check one that could be read; the same with what is wrong in `errors`."""
        ...

    async def execute(self, wanted: Wanted) -> Outcome:
        """Execute a query or a mutation."""
        ...

    async def subscribe(self, wanted: Wanted) -> AsyncIterator[Outcome] | Outcome:
        """Begin a subscription; an outcome instead of its results if that failed."""
        ...
