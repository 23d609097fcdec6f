"""`vivace tasks run`: the companions that run tasks and schedules, without a server.

Rules of this file: one process and one loop; whoever started it starts it again when it ends.
"""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from vivace.config import Config
from vivace.errors import StartupError
from vivace.framework.beside import Context, all_companions
from vivace.tasks.spool import check_url

__all__ = ["run_beside"]

logger = logging.getLogger("vivace")

KINDS: Final = ("runner", "scheduler")
"""Of companions, those that run here."""


def run_beside(target: str | None) -> int:
    """Run what an app does beside its requests until a signal comes; the exit code.

    Args:
        target: Found as `vivace run` does if it is None.

    Raises:
        ConfigError: TASKS_URL is that of no spool.
        StartupError: There is no such app, or it has no tasks.
    """
    from vivace.supervisor.loading.target import find_target, load_app
    from vivace.supervisor.telling.logs import attach_logging
    from vivace.supervisor.workers.worker import choose_loop

    config = Config.load()
    if config.TASKS_URL:
        check_url(config.TASKS_URL)
    loaded = load_app(target or config.APP or find_target(Path()), config)
    attach_logging(config, "tasks")
    found = [placed for placed in all_companions(loaded.app) if placed.companion.kind in KINDS]
    if not found:
        raise StartupError(f"{loaded.target} has no tasks and no schedules", stage="tasks")
    names = ", ".join(placed.companion.name for placed in found)
    logger.info("Running %s of %s", names, loaded.target)
    with asyncio.Runner(loop_factory=choose_loop(config.LOOP)[1]) as runner:
        return runner.run(_run_all(found))


async def _run_all(found: list[Any]) -> int:
    contexts = [Context(placed.app, placed.app.config, placed.companion.name) for placed in found]
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_all, contexts)
    lives = [
        asyncio.create_task(_live(placed.companion.main(context)), name=placed.companion.name)
        for placed, context in zip(found, contexts, strict=True)
    ]
    # One that ends by itself, or fails, ends the others: the process as a whole is started again.
    await asyncio.wait(lives, return_when=asyncio.FIRST_COMPLETED)
    _stop_all(contexts)
    results = await asyncio.gather(*lives, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    for error in errors:
        logger.error("a process beside the workers failed", exc_info=error)
    return 1 if errors or 1 in results else 0


async def _live(life: Coroutine[Any, Any, None]) -> int:
    try:
        await life
    except SystemExit:  # it has said why; a loop would let it through to everybody
        return 1
    return 0


def _stop_all(contexts: list[Context]) -> None:
    for context in contexts:
        context.stop()
