"""One address that serves a schema: what it is made with, and how an operation goes through it.

Rules of this file:

- HTTP, WebSockets and server-sent events all come here: an operation is checked and executed in one way.
- A document that was checked is remembered, by its text: most clients send the same few.
- A subscription is iterated here only; whoever started it closes it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Final

from vivace.config.table_graphql import GRAPHQL_SETTINGS
from vivace.errors import DeclarationError
from vivace.ext.graphql.access import Access
from vivace.ext.graphql.context import Context, find_user
from vivace.ext.graphql.core import Runner, make_engine
from vivace.ext.graphql.engine import Document, Engine, Kind, Outcome, Wanted
from vivace.ext.graphql.errors import ErrorFormatter
from vivace.ext.graphql.feed import RUNNING, Running
from vivace.ext.graphql.params import Params
from vivace.protocols.graphql_ws import Limits

if TYPE_CHECKING:
    from vivace.framework.app import Vivace

__all__ = ["Answer", "Batch", "Endpoint", "Refused", "close"]

ContextFactory = Callable[[Context], Any | Awaitable[Any]]
OnConnect = Callable[[Context], Any | Awaitable[Any]]

_LIMITS: Final = {setting.name.removeprefix("GRAPHQL_"): setting for setting in GRAPHQL_SETTINGS}
_ANY: Final[frozenset[Kind]] = frozenset({"query", "mutation", "subscription"})


class Refused(Exception):
    """An operation was not begun.

    Attributes:
        errors: What clients are told.
        status: Of an HTTP response that may say it.
    """

    def __init__(self, errors: list[dict[str, Any]], status: int = 400) -> None:
        super().__init__(errors)
        self.errors = errors
        self.status = status


Answer = dict[str, Any]
"""``data``, ``errors``, ``extensions``."""


class Batch:
    """The documents of one list: together they may be as long as one.

    Args:
        tokens: How long; 0: any.
    """

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._left = tokens
        self._known: dict[str, Document] = {}

    def read(
        self, source: str, parse: Callable[[str], Document], check: Callable[[Document], Document]
    ) -> Document:
        """Read and check a document once, however often the list has it.

        Raises:
            Refused: With it they are too long.
        """
        known = self._known.get(source)
        if known is None:
            known = parse(source)
            self._left -= known.tokens
            if self._tokens and self._left < 0:
                told = f"the documents of a list may have {self._tokens} tokens together (GRAPHQL_MAX_TOKENS)"
                raise Refused([{"message": told}])
            known = self._known[source] = check(known)
        return known


class Endpoint:
    """A schema at an address.

    Args:
        app: Whose settings hold.
        schema: What `make_engine` takes.
        subscriptions: Serve WebSockets and subscriptions.
        context: Makes what resolvers get as ``info.context``, of a `Context`; may be a coroutine function.
        root: What resolvers of the root types get first; a function is called with the context.
        on_connect: Judges a WebSocket whose client introduced itself; see `admit`.
        user: Tells who an operation belongs to, given what `context` made.
        expose: Exceptions whose messages are for clients.
        graphiql: Serve the page to browsers; None: with DEBUG.
        introspection: Whether clients may ask for the schema.
        middleware: Functions around resolvers.
        threads: See `CoreEngine`.
        limits: In place of settings, by their names in lower case without ``graphql_``.
    """

    def __init__(
        self,
        app: "Vivace[Any, Any]",
        schema: Any,
        *,
        subscriptions: bool = True,
        context: ContextFactory | None = None,
        root: Any = None,
        on_connect: OnConnect | None = None,
        user: Callable[[Any], Any] = find_user,
        expose: tuple[type[Exception], ...] = (),
        graphiql: bool | None = None,
        introspection: bool = True,
        middleware: Any = None,
        threads: bool | Runner = False,
        **limits: float,
    ) -> None:
        self.app = app
        self.subscriptions = subscriptions
        self.find_user = user
        self._schema = schema
        self._graphiql = graphiql
        self._make_context = context
        self._root = root
        self._on_connect = on_connect
        self._expose = expose
        self._options = {"introspection": introspection, "middleware": middleware, "threads": threads}
        self._given = {name.upper(): value for name, value in limits.items()}
        for name, value in self._given.items():
            _check_limit(name, value)
        self._documents: dict[str, Document] = {}
        self.fix()

    def fix(self) -> None:
        """Take the settings over: when it is made, and again when the server starts and they are final."""
        tokens = self.limit("MAX_TOKENS")
        limits = {name: self.limit(name.upper()) for name in ("max_depth", "max_fields")}
        self._engine: Engine = make_engine(self._schema, max_tokens=tokens, **limits, **self._options)
        self._cache_size = int(self.limit("CACHE"))
        self._documents.clear()
        self._cached = 0
        self.max_message = int(self.limit("MAX_MESSAGE"))
        self.max_batch = int(self.limit("MAX_BATCH"))
        self.max_tokens = int(tokens)
        self.max_queue = int(self.limit("MAX_QUEUE"))
        self.limits = Limits(
            init_timeout=self.limit("INIT_TIMEOUT"),
            keep_alive=self.limit("KEEP_ALIVE"),
            max_operations=int(self.limit("MAX_OPERATIONS")),
            max_message=self.max_message,
        )
        self.access = Access(self.app.config.GROUP_RECHECK_GRACE)
        debug = bool(self.app.config.DEBUG)
        self.graphiql = debug if self._graphiql is None else self._graphiql
        self.errors = ErrorFormatter(debug=debug, logs=self._engine.logs is False, expose=self._expose)

    def limit(self, name: str) -> Any:
        """What holds for a limit."""
        given = self._given.get(name)
        return self.app.config[f"GRAPHQL_{name}"] if given is None else given

    # What resolvers get

    async def make_context(self, context: Context) -> Any:
        """What resolvers get as ``info.context``."""
        if self._make_context is None:
            return context
        made = self._make_context(context)
        return await made if isawaitable(made) else made

    async def admit(self, context: Context) -> dict[str, Any] | None:
        """Judge a WebSocket by ``on_connect(context)``; ``context.payload`` is what its client sent.

        Returns:
            What the client is welcomed with.

        Raises:
            Refused: It gave False, or raised an exception with a status below 500.
        """
        if self._on_connect is None:
            return None
        try:
            result = self._on_connect(context)
            result = await result if isawaitable(result) else result
        except Exception as error:
            raise Refused([self.errors.format(error)], 403) from error
        if result is False:
            raise Refused([{"message": "Forbidden"}], 403)
        return result if isinstance(result, dict) else None

    # An operation

    def read(self, source: str, batch: Batch | None = None) -> Document:
        """Read and check a document, or remember it.

        Raises:
            Refused: It is too long for its list.
        """
        if batch is not None:
            return batch.read(source, self._recall, self._check)
        return self._check(self._recall(source))

    def _recall(self, source: str) -> Document:
        """A document that was checked, or that still has to be."""
        return self._documents.get(source) or self._engine.parse(source)

    def _check(self, document: Document) -> Document:
        """Check a document that was not, and remember it."""
        source = document.source
        known = self._documents.pop(source, None)
        if known is None:
            known = document if document.errors else self._engine.validate(document)
            if known.errors or len(source) > self._cache_size:
                return known
            self._cached += len(source)
        self._documents[source] = known  # at the end: the first one is the oldest
        while self._cached > self._cache_size:
            oldest = next(iter(self._documents))
            del self._documents[oldest]
            self._cached -= len(oldest)
        return known

    def choose(
        self, params: Params, allowed: frozenset[Kind] = _ANY, batch: Batch | None = None
    ) -> tuple[Document, Kind]:
        """The document of an operation, and what kind of operation it is.

        Raises:
            Refused: The document is wrong, does not have the operation, or this may not be done here.
        """
        document = self.read(params.query, batch)
        if document.errors:
            raise Refused(self.errors.format_all(document.errors))
        kinds = document.kinds
        if params.name is None and len(kinds) == 1:
            kind = next(iter(kinds.values()))
        elif params.name is not None and params.name in kinds:
            kind = kinds[params.name]
        elif params.name is None:
            raise Refused([{"message": f"operationName is needed: the document has {len(kinds)} operations"}])
        else:
            raise Refused([{"message": f"the document has no operation {params.name[:100]!r}"}])
        if kind == "subscription" and not self.subscriptions:
            raise Refused([{"message": "subscriptions are not served here"}])
        if kind not in allowed:
            raise Refused([{"message": f"a {kind} cannot be asked for in this way"}], 405)
        return document, kind

    async def execute(self, document: Document, params: Params, context: Any) -> Answer:
        """Execute a query or a mutation.

        Raises:
            Refused: It was not begun: a variable is wrong.
        """
        outcome = await self._engine.execute(self._wanted(document, params, context))
        answer = self.format(outcome)
        if "data" not in answer:
            raise Refused(answer["errors"])
        return answer

    async def subscribe(self, document: Document, params: Params, context: Any) -> AsyncIterator[Outcome]:
        """Begin a subscription; what it gives is to be closed by whoever takes it.

        Raises:
            Refused: It was not begun.
        """
        user = self.find_user(context)
        RUNNING.set(Running(self.app, self.access, context, user, self.max_queue))
        begun = await self._engine.subscribe(self._wanted(document, params, context))
        if isinstance(begun, AsyncIterator):
            return begun
        raise Refused(self.format(begun).get("errors") or [{"message": "the subscription gives nothing"}])

    def format(self, outcome: Outcome) -> Answer:
        """What a client gets of an outcome: no ``data`` if nothing was executed."""
        errors = outcome.errors
        answer: Answer = {}
        if errors:
            answer["errors"] = self.errors.format_all(errors)
        # An error of an executed field has its path; those that prevent the execution have none.
        if outcome.data is not None or not errors or any(error.path for error in errors):
            answer["data"] = outcome.data
        if outcome.extensions:
            answer["extensions"] = outcome.extensions
        return answer

    def _wanted(self, document: Document, params: Params, context: Any) -> Wanted:
        root = self._root(context) if callable(self._root) else self._root
        return Wanted(document, params.name, params.variables, context, root, params.extensions)


async def close(results: AsyncIterator[Any]) -> None:
    """End a subscription that `Endpoint.subscribe` began."""
    aclose = getattr(results, "aclose", None)
    if aclose is not None:
        await aclose()


def _check_limit(name: str, value: float) -> None:
    setting = _LIMITS.get(name)
    if setting is None:
        raise TypeError(f"app.graphql() has no argument {name.lower()!r}")
    if setting.minimum is not None and not value >= setting.minimum:
        raise DeclarationError(f"{name.lower()}={value!r}: expected at least {setting.minimum:g}")
