"""A task that was declared on a part of an app, before it was known which app that is.

Rules of this file:

- It is enqueued with the app that the part belongs to. Where that are several, one has to be named.
"""

from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from vivace.tasks.book import Book
from vivace.tasks.declared import TaskFunction
from vivace.tasks.errors import TaskError

__all__ = ["PartTask"]

P = ParamSpec("P")
R = TypeVar("R")


class _Books(WeakSet[Book]):
    """Books that are not kept alive; it can be pickled."""

    def __reduce__(self) -> "tuple[type[_Books], tuple[list[Book]]]":
        return type(self), (list(self),)


class PartTask(TaskFunction[P, R]):
    """A task of a part.

    Args:
        draft: The task as it is by itself; its name is ``part.task``.
    """

    def __init__(self, draft: TaskFunction[P, R]) -> None:
        super().__init__(draft.function, draft.name, draft.options, draft.book)
        self._books = _Books()

    def join(self, book: Book) -> None:
        """Note the tasks of an app that it is among now."""
        self._books.add(book)

    def is_of(self, book: Book) -> bool:
        """Whether it is among the tasks of an app."""
        return book in self._books

    def of(self, app: Any) -> TaskFunction[P, R]:
        """See `TaskFunction`."""
        book: Book = app.work
        if book not in self._books:
            raise TaskError(f"task {self.name}: its blueprint is no part of the app {app.name}")
        return self._in(book)

    def _in(self, book: Book) -> TaskFunction[P, R]:
        return book.functions[f"{book.prefix}.{self.name}"]

    def placed(self) -> TaskFunction[P, R]:
        """See `TaskFunction`."""
        books = list(self._books)
        if len(books) == 1:
            return self._in(books[0])
        if not books:
            raise TaskError(
                f"task {self.name}: its blueprint is part of no app yet; app.blueprint(...) comes before"
            )
        names = ", ".join(sorted(book.prefix for book in books))
        raise TaskError(
            f"task {self.name}: its blueprint is part of several apps ({names}): write"
            " task.of(app).enqueue(...)"
        )
