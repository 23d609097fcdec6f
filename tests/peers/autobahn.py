"""Running Autobahn|Testsuite's fuzzing client and reading its verdicts.

Rules of this file:

- It runs where `scripts/autobahn` has installed it: it needs Python 2.7.
- A case that is not OK is told by its number; a report that lacks cases is a failure too.
"""

import json
import os
import subprocess
from pathlib import Path

from tests.conftest import ROOT

__all__ = ["WSTEST", "verdicts"]

WSTEST = Path(os.environ.get("WSTEST", ROOT / ".venv-autobahn" / "bin" / "wstest"))
"""The program; the environment may name another one."""


def verdicts(url: str, cases: list[str], folder: Path, seconds: float) -> dict[str, str]:
    """The verdict on each case, such as ``OK``; a bad close is one too."""
    spec = {
        "outdir": str(folder),
        "servers": [{"agent": "vivace", "url": url}],
        "options": {"failByDrop": False},
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    argv = [str(WSTEST), "-m", "fuzzingclient", "-s", str(folder / "spec.json")]
    subprocess.run(argv, check=True, timeout=seconds, capture_output=True, cwd=folder)
    report = json.loads((folder / "index.json").read_text())["vivace"]
    fine = ("OK", "INFORMATIONAL")
    return {
        case: found["behavior"] if found["behaviorClose"] in fine else found["behaviorClose"]
        for case, found in report.items()
    }
