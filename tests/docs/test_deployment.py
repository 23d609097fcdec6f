"""The files of the pages on deployment are what their programs take."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.runner import blocks


def text_of(page: str, name: str) -> str:
    """The block that a page writes to a file."""
    found = [
        b.text for b in blocks((ROOT / "docs" / page).read_text()) if (b.mark, b.argument) == ("file", name)
    ]
    assert len(found) == 1
    return found[0]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_nginx_takes_the_configuration(tmp_path: Path) -> None:
    text = text_of("proxies.md", "nginx.conf").replace("listen 80;", "listen 127.0.0.1:1;")
    paths = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = tmp_path / "nginx.conf"
    conf.write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{text}}}\n"
    )
    answer = run("nginx", "-t", "-p", str(tmp_path), "-c", str(conf))
    assert "test is successful" in answer.stderr, answer.stderr


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="HAProxy is not installed")
@pytest.mark.parametrize("option", ["", "send-proxy-v2 ", "send-proxy-v2-ssl "])
def test_haproxy_takes_the_configuration(tmp_path: Path, option: str) -> None:
    conf = tmp_path / "haproxy.cfg"
    text = text_of("proxies.md", "haproxy.cfg")
    conf.write_text(text.replace(":8000 check", f":8000 {option}check"))
    answer = run("haproxy", "-c", "-f", str(conf))
    assert answer.returncode == 0, answer.stderr
    assert "WARNING" not in answer.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = shutil.which("true")
    assert program is not None
    for name in ("shop.service", "shop.socket"):
        text = text_of("deploy-systemd.md", name)
        (tmp_path / name).write_text(text.replace("/srv/shop/.venv/bin/vivace", program))
    answer = run("systemd-analyze", "verify", str(tmp_path / "shop.service"), str(tmp_path / "shop.socket"))
    complaints = [line for line in answer.stderr.splitlines() if "shop." in line]
    assert complaints == []
    if answer.returncode:  # a container may lack what the machine's own units need
        assert answer.stderr
