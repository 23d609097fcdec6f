"""Options of decorators that pass them on: a wrong one is refused where it stands, in the words of the docs.

Rules of this file: whoever misspelt one is told what it may have been.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from vivace.errors import DeclarationError

__all__ = ["refuse_unknown"]


def refuse_unknown(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse options that are not known.

    Args:
        what: Has them, such as ``@app.task``.
        given: Their names.
        known: Those that it may have.

    Raises:
        DeclarationError: One is not known.
    """
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"expected some of {', '.join(known)}"
            raise DeclarationError(f"{what} has no option {name}; {hint}")
