"""What it costs to check a document, found out before it is checked.

That fields of one name can be merged is checked pair by pair (GraphQL specification 5.3.2): a document of a
thousand tokens can take half a million steps. To count them takes as long as the document is.

Rules of this file:

- Limits are so many for each token that a document may have: who takes longer documents takes heavier ones.
- The document may be wrong in any way: fragments may be missing or go round in circles.
"""

from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
)

__all__ = ["PAIRS_PER_TOKEN", "SELECTIONS_PER_TOKEN", "find_excess"]

PAIRS_PER_TOKEN: Final = 10
"""Pairs of fields, or of spread fragments, that stand at one place of the result and must be compared."""
SELECTIONS_PER_TOKEN: Final = 10
"""Selections of a document when each fragment is written out where it is spread."""

_SPREAD: Final = "..."
"""Stands for fragments among the names of fields."""

_Place = dict[str, tuple[list[int], Any]]
"""A place of the result: of each name how often it is selected there, and what is below it."""


def find_excess(tree: DocumentNode, tokens: int) -> str | None:
    """What makes a document too heavy to be checked; None: it can be.

    Args:
        tree: The document.
        tokens: How many tokens a document may have.
    """
    fragments = {
        node.name.value: node for node in tree.definitions if isinstance(node, FragmentDefinitionNode)
    }
    scale = _Scale(fragments, tokens)
    for node in tree.definitions:
        if isinstance(node, OperationDefinitionNode) and (excess := scale.weigh(node)):
            return excess
    for name, node in fragments.items():
        if name not in scale.spread and (excess := scale.weigh(node)):
            return excess
    return None


class _Scale:
    """Weighs the definitions of one document.

    Attributes:
        spread: The fragments that were met.
    """

    def __init__(self, fragments: dict[str, FragmentDefinitionNode], tokens: int) -> None:
        self.spread: set[str] = set()
        self._fragments = fragments
        self._most_pairs = tokens * PAIRS_PER_TOKEN
        self._most_selections = tokens * SELECTIONS_PER_TOKEN
        self._pairs = self._selections = 0

    def weigh(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> str | None:
        """Add a definition with what it spreads; what is too much."""
        top: _Place = {}
        waiting: list[tuple[Any, _Place, frozenset[str]]] = [(definition.selection_set, top, frozenset())]
        while waiting:
            inner, place, inside = waiting.pop()
            for one in inner.selections:
                below, deeper = place, inside
                if isinstance(one, FieldNode):
                    below = self._select(place, (one.alias or one.name).value)
                    inner = one.selection_set
                elif isinstance(one, FragmentSpreadNode):
                    name = one.name.value
                    self._select(place, _SPREAD)
                    self.spread.add(name)
                    fragment = None if name in inside else self._fragments.get(name)
                    inner, deeper = fragment and fragment.selection_set, inside | {name}
                else:
                    inner = one.selection_set
                if inner is not None:
                    waiting.append((inner, below, deeper))
            if self._pairs > self._most_pairs:
                return f"more than {self._most_pairs} pairs of fields of one name would have to be compared"
            if self._selections > self._most_selections:
                return f"with its fragments written out it has more than {self._most_selections} selections"
        return None

    def _select(self, place: _Place, name: str) -> _Place:
        """Count a selection; the place below it."""
        count, below = place.setdefault(name, ([0], {}))
        self._pairs += count[0]
        self._selections += 1
        count[0] += 1
        return below  # type: ignore[no-any-return]
