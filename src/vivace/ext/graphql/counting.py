"""Fields that an operation resolves are counted, so that lists in lists end somewhere.

Rules of this file:

- Once there are too many no resolver is called any more, and what there is comes to its end by itself:
  nothing is cancelled, and no coroutine is left unawaited.
- It costs an addition for each object, not for each field.
- graphql-core 3.2 only: later versions execute in another way.
"""

from typing import Any

from graphql import ExecutionContext, ExecutionResult, GraphQLError

__all__ = ["make_counting"]


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
                told = f"the operation has more than {most} fields in its result (GRAPHQL_MAX_FIELDS)"
                data, errors = None, [GraphQLError(told)]
            response: ExecutionResult = super().build_response(data, errors)
            return response

    return Counting
