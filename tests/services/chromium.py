"""A headless Chromium, driven by Debian's chromedriver: `open_browser` gives one for the tests of a file.

Rules of this file:

- It has a profile of its own, talks to nobody but the page's server, and needs no display.
- Two users in one browser are two hosts, 127.0.0.1 and localhost: each has its own cookies.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Tab", "open_browser"]

PATIENCE = 20.0
"""Seconds after which a condition is given up; the machine may be busy."""
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


class Tab:
    """One tab of a browser, seen by CSS selectors.

    Args:
        driver: Of selenium.
    """

    def __init__(self, driver: Any) -> None:
        driver.switch_to.new_window("tab")
        self._driver = driver
        self._handle = driver.current_window_handle
        self._first = next(handle for handle in driver.window_handles if handle != self._handle)

    def _here(self) -> Any:
        if self._driver.current_window_handle != self._handle:
            self._driver.switch_to.window(self._handle)
        return self._driver

    def close(self) -> None:
        """Close it; another one stays, so that the browser does."""
        self._here().close()
        self._driver.switch_to.window(self._first)

    def go(self, url: str) -> None:
        """Open a page."""
        self._here().get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """What a piece of JavaScript returns."""
        return self._here().execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements, in their order."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector
        )
        return found

    def text(self, selector: str) -> str:
        """The text of the first one; empty if there is none."""
        return next(iter(self.texts(selector)), "")

    def attribute(self, selector: str, name: str) -> str:
        """An attribute of the first element; empty if it has none."""
        script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1])"
        return self.run(script, selector, name) or ""

    def type(self, selector: str, text: str, *, enter: bool = False) -> None:
        """Type into a field, as a user does."""
        field = self._here().find_element("css selector", selector)
        field.clear()
        field.send_keys(text + ("\n" if enter else ""))

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is true of the page; AssertionError with its text if it never is."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (
                f"{what}; the page says:\n{self.run('return document.body.innerText')}"
            )
            time.sleep(0.02)


@pytest.fixture(scope="module")
def open_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Callable[[], Tab]]]:
    """Starts a browser; what it gives opens tabs."""
    programs = _programs()
    if programs is None:
        pytest.skip("Chromium is not installed (Debian packages chromium and chromium-driver)")
    pytest.importorskip("selenium")
    drivers: list[Any] = []

    def start() -> Callable[[], Tab]:
        driver = _start(programs, tmp_path_factory.mktemp("chromium"))
        drivers.append(driver)
        return lambda: Tab(driver)

    yield start
    for driver in drivers:
        driver.quit()


def _programs() -> tuple[str, str] | None:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


def _start(programs: tuple[str, str], folder: Path) -> Any:
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = programs[0]
    for flag in (*_FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    return Chrome(options=options, service=Service(programs[1]))
