"""Lists of words as settings give them: text with commas, or a list."""

from collections.abc import Iterable

__all__ = ["split_words"]


def split_words(value: str | Iterable[str] | None) -> list[str]:
    """The words without the spaces around them; none of nothing."""
    if value is None:
        return []
    items = value.split(",") if isinstance(value, str) else value
    return [word for word in (str(item).strip() for item in items) if word]
