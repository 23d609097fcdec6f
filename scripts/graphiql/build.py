"""Build the page of GraphiQL that comes with Vivace: one file that loads nothing else.

npm ci --prefix scripts/graphiql --ignore-scripts
python scripts/graphiql/build.py scripts/graphiql/node_modules src/vivace/ext/graphql/graphiql.html.gz

Fonts are left out: they are four fifths of the style sheet, and every system has some.
"""

import gzip
import json
import re
import sys
from pathlib import Path

INTRODUCTION = """This page is made of these packages of npm, whose licences follow.
Fonts were left out of the style sheet of graphiql; nothing else was changed.
"""


def licences(modules: Path) -> str:
    """The packages with their versions, and the texts of their licences, each once."""
    packages: dict[str, list[str]] = {}
    for path in sorted([*modules.glob("*/package.json"), *modules.glob("@*/*/package.json")]):
        about = json.loads(path.read_text())
        if about["name"].startswith("@types/"):
            continue
        found = sorted(p for p in path.parent.iterdir() if re.match(r"licen[cs]e", p.name, re.IGNORECASE))
        text = found[0].read_text().strip() if found else f"Licence: {about['license']}"
        packages.setdefault(text, []).append(f"{about['name']} {about['version']} ({about['license']})")
    blocks = [", ".join(names) + "\n\n" + text for text, names in packages.items()]
    return ("\n\n" + "-" * 8 + "\n\n").join([INTRODUCTION, *blocks]).replace("--", "- ")


def build(modules: Path) -> str:
    """The page."""
    folder = modules / "graphiql"
    page = (Path(__file__).parent / "page.html").read_text()
    css = re.sub(r"@font-face\s*\{[^}]*\}", "", (folder / "graphiql.min.css").read_text())
    return page.format(
        css=css.replace("</", "<\\/"),
        react=_script(modules / "react" / "umd" / "react.production.min.js"),
        react_dom=_script(modules / "react-dom" / "umd" / "react-dom.production.min.js"),
        graphiql=_script(folder / "graphiql.min.js"),
        licences=licences(modules),
    )


def _script(path: Path) -> str:
    """A script as it may stand within a page."""
    text = re.sub(r"//# sourceMappingURL=.*", "", path.read_text())
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def main() -> None:
    """Write the page whose path is the second argument."""
    page = gzip.compress(build(Path(sys.argv[1])).encode(), 9, mtime=0)
    Path(sys.argv[2]).write_bytes(page)
    print(f"{sys.argv[2]}: {len(page)} octets")


if __name__ == "__main__":
    main()
