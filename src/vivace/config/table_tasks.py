"""The settings about tasks: where they are kept, who runs them, and how much.

A part of `vivace.config.table`, which says what a declaration is for.
"""

from typing import Final

from vivace.config.setting import Setting

__all__ = ["TASK_SETTINGS"]

_TASKS: Final = "Tasks and schedules"

TASK_SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        "TASKS_URL",
        "str",
        "",
        "Where tasks are kept: sqlite:///path, postgres://... or redis://...; empty: .vivace/tasks.sqlite3.",
        _TASKS,
        secret=True,
    ),
    Setting(
        "TASK_WORKERS", "int", 1, "Processes that run tasks.", _TASKS, "processes", minimum=0, maximum=64
    ),
    Setting(
        "TASK_CONCURRENCY",
        "int",
        10,
        "Tasks that one of these processes runs at a time.",
        _TASKS,
        "tasks",
        minimum=1,
        maximum=1000,
    ),
    Setting(
        "TASK_QUEUES", "str", "", "The queues whose tasks are run here, with spaces; empty: all.", _TASKS
    ),
    Setting(
        "TASK_LEASE",
        "float",
        30.0,
        "How long a task stays with a process that gives no sign of life.",
        _TASKS,
        "s",
        minimum=1,
    ),
    Setting(
        "TASK_MAX_PAYLOAD",
        "int",
        1_048_576,
        "The largest arguments of a task, as JSON.",
        _TASKS,
        "octets",
        minimum=64,
    ),
)
