"""What a docstring says of an operation: its first line, the rest, and YAML behind a line ``openapi:``.

Rules of this file:

- YAML is read only where a docstring has it; without PyYAML that is said once per docstring.
- What is wrong in it costs the document that part and a warning, never the start of the server.
"""

import inspect
import re
import warnings
from typing import Any, Final

__all__ = ["read_docstring"]

_MARK: Final = re.compile(r"^[ \t]*openapi:[ \t]*$", re.MULTILINE)


def read_docstring(docstring: str | None) -> dict[str, Any]:
    """The fields of an operation that a docstring gives.

    Args:
        docstring: As it stands in the source.
    """
    text = inspect.cleandoc(docstring or "")
    mark = _MARK.search(text)
    prose, yaml = (text[: mark.start()], text[mark.end() :]) if mark else (text, "")
    summary, _, rest = prose.strip().partition("\n")
    found: dict[str, Any] = {}
    if summary:
        found["summary"] = summary.strip()
    description = inspect.cleandoc(rest).strip()
    if description:
        found["description"] = description.replace("\n", "<br>")
    return found | _read_yaml(yaml)


def _read_yaml(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        import yaml
    except ImportError:
        warnings.warn("a docstring has YAML for OpenAPI: it needs PyYAML (vivace[openapi])", stacklevel=2)
        return {}
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        warnings.warn(f"error parsing openAPI yaml, ignoring it. ({error})", stacklevel=2)
        return {}
    if not isinstance(found, dict):
        return {}
    if isinstance(found.get("responses"), dict):
        found["responses"] = {str(status): value for status, value in found["responses"].items()}
    return found
