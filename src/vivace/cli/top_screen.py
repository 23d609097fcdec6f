"""What `vivace top` draws: a table of workers; of one of them the requests in progress, or its stacks.

Rules of this file:

- Asking the server may take a while: it is done in a thread, one question at a time.
- What is told is shown as it is, never as markup: paths come from strangers.
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

from vivace.cli.columns import show_age, show_number, show_size
from vivace.supervisor.control.servers import NotFound

__all__ = ["SORTS", "Top", "rows_of"]

Ask = Callable[..., dict[str, Any]]
Row = dict[str, Any]

SORTS: Final[dict[str, tuple[str, Callable[[Row], Any]]]] = {
    "w": ("worker", lambda one: one["worker"]),
    "s": ("rate", lambda one: -(one.get("rate") or 0.0)),
    "a": ("active", lambda one: -(one.get("active") or 0)),
    "p": ("cpu", lambda one: -(one.get("cpu") or 0.0)),
    "m": ("memory", lambda one: -(one.get("rss") or 0)),
}
"""Key -> what it sorts by, and how."""
_COLUMNS: Final = ("WORKER", "PID", "GEN", "STATE", "UP", "SERVED", "REQ/S", "ERRORS", "ACTIVE", "CONNS")
_MORE: Final = ("DELAY", "CPU", "RSS", "EXITS", "OLDEST")
_COLORS: Final = {"ready": "green", "blocked": "bold red", "unready": "yellow", "backoff": "red"}


def rows_of(workers: Sequence[Row], before: dict[int, tuple[float, int]], key: str) -> list[Row]:
    """The workers with the rate of their requests, in order.

    Args:
        workers: As a supervisor tells them.
        before: Uptime and requests by pid, of the last look; becomes those of this one.
        key: Of `SORTS`.
    """
    found = []
    for one in workers:
        pid, up, served = one.get("pid") or 0, one.get("uptime") or 0.0, one.get("served") or 0
        then, had = before.get(pid, (up, served))
        found.append({**one, "rate": (served - had) / (up - then) if up - then > 0.05 else 0.0})
    before.clear()
    before.update({one["pid"]: (one["uptime"], one.get("served") or 0) for one in workers if one.get("pid")})
    return sorted(found, key=lambda one: (SORTS[key][1](one), one["worker"]))


def _cells(one: Row) -> list[Text]:
    oldest = one.get("oldest")
    texts = [
        str(one["worker"]),
        show_number(one.get("pid") or None),
        show_number(one.get("generation")),
        one["state"],
        show_age(one.get("uptime")),
        show_number(one.get("served")),
        f"{one['rate']:.0f}",
        *(show_number(one.get(name)) for name in ("errors", "active", "connections")),
        "-" if one.get("delay_p95") is None else f"{one['delay_p95'] * 1000:.0f}ms",
        "-" if one.get("cpu") is None else f"{one['cpu'] * 100:.0f}%",
        show_size(one.get("rss")),
        str(one["restarts"]),
        one.get("suspect") or (f"{oldest['request']} {oldest['age']:.1f}s" if oldest else ""),
    ]
    color = _COLORS.get(one["state"], "")
    return [Text(text, style=color if text == one["state"] else "") for text in texts]


class Stacks(Screen[None]):
    """What a worker is doing, in full."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "app.pop_screen", "back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Text that can be scrolled."""
        with VerticalScroll():
            yield Static(Text(self._text), id="stacks")
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
        table.add_columns("AGE", "STATUS", "REQUEST", "AT")
        yield table
        yield Footer()

    def show(self, requests: Sequence[Row]) -> None:
        """Draw what there is now."""
        table = self.query_one("#requests", DataTable)
        table.clear()
        for one in requests:
            texts = (f"{one['age']:.1f}s", str(one["status"] or "-"), one["request"], one["handler"])
            table.add_row(*map(Text, texts))
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
    CSS = "#head { height: 2; } #said { height: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"sort('{key}')", f"by {name}") for key, (name, _) in SORTS.items()),
        Binding("d", "dump", "stacks"),
        Binding("c", "recycle", "recycle"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, ask: Ask, every: float = 1.0) -> None:
        super().__init__()
        self._ask = ask
        self._every = every
        self._sort = "w"
        self._before: dict[int, tuple[float, int]] = {}
        self._shown: list[Row] = []
        self._sorted = False

    def compose(self) -> ComposeResult:
        """Two lines about the server, the workers, a line for answers, the keys."""
        yield Static("asking the server", id="head")
        table: DataTable[Text] = DataTable(cursor_type="row", id="workers")
        table.add_columns(*_COLUMNS, *_MORE)
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
        server, chosen = answer["server"], self._chosen
        self._shown = rows_of(answer["workers"], self._before, self._sort)
        rate = sum(one["rate"] for one in self._shown)
        ready = f"{server['ready']} of {server['wanted']} workers ready"
        first = f"{server['name']}: {server['state']}, {ready}, generation {server['generation']}"
        second = f"up {show_age(server['uptime'])}, {rate:.0f} requests/s, by {SORTS[self._sort][0]}"
        main = self.screen_stack[0]
        main.query_one("#head", Static).update(Text(f"{first}\n{second}"))
        table = main.query_one("#workers", DataTable)
        at = table.cursor_row
        table.clear()
        for row, one in enumerate(self._shown):
            table.add_row(*_cells(one))
            at = row if one["worker"] == chosen else at  # what `c` replaces must not change under the cursor
        table.move_cursor(row=0 if self._sorted else at)
        self._sorted = False

    def _say(self, text: str) -> None:
        self.screen_stack[0].query_one("#said", Static).update(Text(text))

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
