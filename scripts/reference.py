"""Write the reference of the settings from their declarations: what `make docs` does.

python scripts/reference.py docs/settings.md
"""

import sys
from pathlib import Path

from vivace.config import reference

INTRODUCTION = """# Settings

Generated from the declarations; `make docs` writes it anew.

A setting has one name and is given in one of these ways; a later one beats an earlier one:

1. its default,
2. `[tool.vivace]` in `pyproject.toml`,
3. `vivace.toml`,
4. the environment: `VIVACE_` and the name, and for some the variable of the platform,
5. code: `app.config.NAME = value`,
6. an option of `vivace run`, or an argument of `app.run()`.

`vivace config` prints every setting with its value and where it came from, `vivace config shop:app` also
what that app's code sets. An unknown name is an error that says which one was meant. In TOML files the names
may be written in lower case.

"""


def main() -> None:
    """Write the page whose path is the only argument."""
    Path(sys.argv[1]).write_text(INTRODUCTION + reference())


if __name__ == "__main__":
    main()
