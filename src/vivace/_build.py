"""Which build runs: the compiled one or plain Python.

Rules of this file:

- Python source is always the definition; a compiled twin is an optimisation that may be missing.
- `VIVACE_PURE=1` forces Python for the whole process: the choice is made once, at the first import.
- Nothing here imports anything of ours.
"""

import importlib.machinery
import os
import sys
from collections.abc import Sequence
from types import ModuleType

__all__ = ["PURE", "compiled_modules", "force_pure"]

PURE: bool = os.environ.get("VIVACE_PURE", "") == "1"


class _SourceFinder:
    """Finds the Python source of our modules where an extension of the same name lies beside it."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if path is None or not name.startswith("vivace."):
            return None
        source = importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES
        for entry in path:
            spec = importlib.machinery.FileFinder(entry, source).find_spec(name, target)
            if spec is not None:
                return spec
        return None


def force_pure() -> None:
    """Let every later import of one of our modules take its Python source."""
    if _SourceFinder not in sys.meta_path:
        sys.meta_path.insert(0, _SourceFinder)


def compiled_modules() -> list[str]:
    """The names of our modules that run compiled in this process, sorted."""
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    return sorted(
        name
        for name, module in sys.modules.items()
        if name.startswith("vivace.") and (getattr(module, "__file__", None) or "").endswith(suffixes)
    )
