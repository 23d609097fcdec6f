"""The programs that the documents print, put together so that they can be run.

`texts/` holds for each program

- ``NAME.lines``     the lines as they stand in the document, which has lost the indentation of most,
- ``NAME.code``      the same lines, indented again: nothing else is different, which is tested,
- ``NAME.prelude``   the imports and helper functions that the document forgets, and nothing else.

Rules of this file:

- A literal port or path is replaced by one that is free, exactly once; no other change is made.
"""

from pathlib import Path

__all__ = ["NAMES", "TEXTS", "code", "program"]

TEXTS = Path(__file__).with_name("texts")
NAMES = sorted(path.stem for path in TEXTS.glob("*.lines"))


def code(name: str) -> str:
    """What a document prints, indented."""
    return (TEXTS / f"{name}.code").read_text()


def program(name: str, **replaced: str) -> str:
    """A whole program.

    Args:
        name: Of the program.
        replaced: Literal texts by the name ``port``, ``path``, ``cert`` or ``key``, written ``was=is``.
    """
    text = code(name)
    for change in replaced.values():
        was, _, now = change.partition("=")
        assert text.count(was) == 1, f"{was} stands {text.count(was)} times in {name}"
        text = text.replace(was, now)
    prelude = TEXTS / f"{name}.prelude"
    return (prelude.read_text() if prelude.exists() else "") + text
