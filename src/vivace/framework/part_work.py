"""Tasks and schedules that are declared on a blueprint.

Rules of this file:

- A task stands under the blueprint that it was declared on, ``app.blueprint.task``, once per app: however
  often the blueprint, or copies of it, are part of the app, a schedule runs once per slot.
- What cannot be is refused where it is declared, before there is an app.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

from vivace.framework.declaring_work import Declare, DeclaringWork

if TYPE_CHECKING:
    from vivace.tasks.book import Book
    from vivace.tasks.part import PartTask

__all__ = ["PartWork", "PartWorking"]


class PartWork(NamedTuple):
    """Something that a blueprint declares.

    Attributes:
        declare: Declares it with the tasks of an app.
        task: What stands for the function.
        by_itself: It is run by a schedule, or by files that change.
    """

    declare: Declare
    task: "PartTask[Any, Any]"
    by_itself: bool


class PartWorking(DeclaringWork):
    """A blueprint, as far as it has work beside the requests."""

    __slots__ = ()

    if TYPE_CHECKING:
        name: str
        work_specs: list[PartWork]
        _draft: Book | None

        @property
        def apps(self) -> Any: ...

    def _add_work(self, declare: Declare, *, by_itself: bool) -> Any:
        from vivace.config import Config
        from vivace.tasks.book import Book
        from vivace.tasks.part import PartTask

        if self._draft is None:
            self._draft = Book(self.name, Config)  # type: ignore[misc] # a slot of the blueprint
        spec = PartWork(declare, PartTask(declare(self._draft, {})), by_itself)
        for app in self.apps:
            app.check_work([spec])
        self.work_specs.append(spec)
        for app in self.apps:
            app.take_work([spec])
        return spec.task
