"""Fields that an operation resolves are counted, so that lists in lists end somewhere.

Rules of this file:

- Once there are too many no resolver is called any more, and what there is comes to its end by itself:
  nothing is cancelled, and no coroutine is left unawaited.
- It costs an addition for each object, not for each field.
- graphql-core 3.2 only: later versions execute in another way.
"""

from typing import Any, Final

from graphql import ExecutionContext, ExecutionResult, GraphQLError

__all__ = ["TOO_MANY", "has_more_fields", "make_counting"]

TOO_MANY: Final = "the operation has more than %d fields in its result (GRAPHQL_MAX_FIELDS)"


def make_counting(base: Any, most: int) -> type[ExecutionContext]:
    """What executes an operation and gives an error in place of its result when it has too many fields.

    Args:
        base: The class that executes it otherwise.
        most: How many fields may be resolved for one result.
    """

    class Counting(base):  # type: ignore[misc]
        _left = most

        def execute_fields(self, parent_type: Any, source: Any, path: Any, fields: Any) -> Any:
            self._left -= len(fields)
            return {} if self._left < 0 else super().execute_fields(parent_type, source, path, fields)

        def execute_fields_serially(self, parent_type: Any, source: Any, path: Any, fields: Any) -> Any:
            self._left -= len(fields)
            return (
                {} if self._left < 0 else super().execute_fields_serially(parent_type, source, path, fields)
            )

        def build_response(self, data: Any, errors: list[GraphQLError]) -> ExecutionResult:
            if self._left < 0:
                data, errors = None, [GraphQLError(TOO_MANY % most)]
            response: ExecutionResult = super().build_response(data, errors)
            return response

    return Counting


def has_more_fields(data: Any, most: int) -> bool:
    """Whether a result has more fields than that; it is looked at no further than it takes to know."""
    left, waiting = most, [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            left -= len(one)
            if left < 0:
                return True
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False
