"""``python -m vivace.compat.sanic web.py [arguments]``: run a program that imports Sanic, on Vivace.

Rules of this file:

- The program is run as Python would run it: as ``__main__``, with its own arguments and its own folder first
  on the path.
"""

import runpy
import sys
from pathlib import Path

from vivace.compat.sanic import install

__all__ = ["main"]

_USAGE = "usage: python -m vivace.compat.sanic (program.py | -m module) [arguments]"


def main(arguments: list[str] | None = None) -> None:
    """Install the alias and run the program.

    Args:
        arguments: Those of the command line, without its first.

    Raises:
        SystemExit: With 2 if no program was named, or with what the program says.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help") or (given[0] == "-m" and len(given) < 2):
        sys.stderr.write(f"{_USAGE}\n")
        raise SystemExit(0 if given and given[0] != "-m" else 2)
    install()
    if given[0] == "-m":
        sys.argv = given[1:]
        sys.path.insert(0, str(Path.cwd()))
        if given[1] == "sanic":
            from vivace.compat.sanic.command import main as run_command

            run_command(given[2:])
            return
        runpy.run_module(given[1], run_name="__main__", alter_sys=True)
        return
    program = Path(given[0])
    if not program.is_file():
        sys.stderr.write(f"Error: there is no file {program}; {_USAGE}\n")
        raise SystemExit(2)
    sys.argv = list(given)
    sys.path.insert(0, str(program.resolve().parent))
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    main()
