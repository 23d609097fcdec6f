"""What `vivace top` draws: a table of workers; of one of them the requests in progress, or its stacks.

Rules of this file:

- What stands in the table is made by `vivace.cli.top_rows`.
- Asking the server may take a while: it is done in a thread, one question at a time.
- What is told is shown as it is, never as markup, and controls are escaped: paths come from strangers.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from vivace.cli.top_rows import COLUMNS, NARROW, SORTS, Looks, cells, heading, safe
from vivace.supervisor.control.servers import NotFound

__all__ = ["Requests", "Stacks", "Top"]

Ask = Callable[..., dict[str, Any]]
Row = dict[str, Any]
_WIDE: Final = 120
"""Columns of a terminal from which on all figures are shown."""
_COLORS: Final = {"ready": "green", "blocked": "bold red", "unready": "yellow", "backoff": "red"}


class Stacks(Screen[None]):
    """What a worker is doing, in full."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "app.pop_screen", "back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Text that can be scrolled."""
        with VerticalScroll():
            yield Static(Text(safe(self._text)), id="stacks")
        yield Footer()


class Requests(Screen[None]):
    """The requests in progress of one worker."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "back"),
        Binding("d", "app.dump", "stacks"),
        Binding("c", "app.recycle", "recycle"),
    ]

    def __init__(self, worker: int) -> None:
        super().__init__()
        self.worker = worker

    def compose(self) -> ComposeResult:
        """A line that says whose, and a table."""
        yield Static(f"worker {self.worker}: requests in progress", id="whose")
        table: DataTable[Text] = DataTable(cursor_type="row", id="requests")
        table.add_columns("AGE", "STATUS", "AT", "REQUEST")
        yield table
        yield Footer()

    def show(self, requests: Sequence[Row]) -> None:
        """Draw what there is now."""
        table = self.query_one("#requests", DataTable)
        table.clear()
        for one in requests:
            texts = (f"{one['age']:.1f}s", str(one["status"] or "-"), one["handler"], one["request"])
            table.add_row(*(Text(safe(text)) for text in texts))
        count = f"{len(requests)} requests in progress"
        self.query_one("#whose", Static).update(Text(f"worker {self.worker}: {count}"))


class Top(App[None]):
    """The program.

    Args:
        ask: Asks the server: a command with its arguments.
        every: Seconds between two looks.
    """

    TITLE = "vivace top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 2; }
    #said { height: auto; max-height: 2; }
    .-low Footer { display: none; }
    .-low #head { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"sort('{key}')", name) for key, (name, _) in SORTS.items()),
        Binding("d", "dump", "stacks"),
        Binding("c", "recycle", "recycle"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, ask: Ask, every: float = 1.0) -> None:
        super().__init__()
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (10, "-high")]
        self._ask = ask
        self._every = every
        self._sort = "w"
        self._looks = Looks()
        self._shown: list[Row] = []
        self._sorted = False

    def compose(self) -> ComposeResult:
        """Two lines about the server, the workers, a line for answers, the keys."""
        yield Static("asking the server", id="head")
        table: DataTable[Text] = DataTable(cursor_type="row", id="workers")
        yield table
        yield Static("", id="said")
        yield Footer()

    def on_mount(self) -> None:
        """Look at once, and again and again."""
        self.look()
        self.set_interval(self._every, self.look)

    @work(thread=True, exclusive=True, group="look")
    def look(self) -> None:
        """Ask the server, and draw what it says; in a thread."""
        screen = self.screen
        try:
            answer = self._ask("status")
            self.call_from_thread(self._draw, answer)
            if isinstance(screen, Requests):
                of_worker = self._ask("requests", worker=screen.worker)
                found = of_worker["workers"][0]["requests"] if of_worker["ok"] else []
                self.call_from_thread(screen.show, found)
        except NotFound as error:
            self.call_from_thread(self._say, str(error))

    def _draw(self, answer: dict[str, Any]) -> None:
        if not self.screen_stack or not self.screen_stack[0].query("#workers"):
            return  # the answer came while it ended
        chosen = self._chosen
        self._shown = self._looks.rows(answer["workers"], self._sort)
        head = heading(answer["server"], self._shown, SORTS[self._sort][0])
        main = self.screen_stack[0]
        main.query_one("#head", Static).update(Text(head))
        table = main.query_one("#workers", DataTable)
        at = table.cursor_row
        columns = COLUMNS if self.size.width >= _WIDE else NARROW
        if len(table.columns) == len(columns):
            table.clear()
        else:
            table.clear(columns=True)
            table.add_columns(*columns)
        for row, one in enumerate(self._shown):
            color = _COLORS.get(one["state"], "")
            texts = cells(one, columns)
            table.add_row(*(Text(text, style=color if text == one["state"] else "") for text in texts))
            at = row if one["worker"] == chosen else at  # what `c` replaces must not change under the cursor
        table.move_cursor(row=0 if self._sorted else at)
        self._sorted = False

    def _say(self, text: str) -> None:
        self.screen_stack[0].query_one("#said", Static).update(Text(safe(text)))

    def action_sort(self, key: str) -> None:
        """Another order, at once, from its first."""
        self._sort = key
        self._sorted = True
        self.look()

    @property
    def _chosen(self) -> int:
        """The worker under the cursor, or whose requests are shown; 0: none."""
        if isinstance(self.screen, Requests):
            return self.screen.worker
        row = self.screen_stack[0].query_one("#workers", DataTable).cursor_row
        return int(self._shown[row]["worker"]) if 0 <= row < len(self._shown) else 0

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter on a worker shows its requests."""
        if event.data_table.id == "workers" and self._chosen:
            self.push_screen(Requests(self._chosen))
            self.look()

    def action_dump(self) -> None:
        """Show the stacks of the chosen worker."""
        self._tell("dump", self._chosen)

    def action_recycle(self) -> None:
        """Replace the chosen worker."""
        self._tell("recycle", self._chosen)

    @work(thread=True, group="tell")
    def _tell(self, what: str, worker: int) -> None:
        try:
            answer = self._ask(what, worker=worker)
        except NotFound as error:
            answer = {"ok": False, "error": str(error)}
        if not answer["ok"]:
            self.call_from_thread(self._say, answer["error"])
        elif what == "dump":
            text = "\n".join(f"worker {one['worker']}: {one['text']}" for one in answer["dumps"])
            self.call_from_thread(self.push_screen, Stacks(text))
        else:
            self.call_from_thread(self._say, f"worker {worker} (pid {answer['pid']}) is replaced")
