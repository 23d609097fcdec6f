"""The files of the pages on deployment are what their programs take."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.stage import Stage, until
from tests.conftest import ROOT, clean_environment
from tests.docs.runner import blocks
from vivace.config import Config
from vivace.config.budget import Plan, parse_budgets, refusal
from vivace.config.platform import fit_platform


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


# The image, without Docker

LINE = re.compile(r"^([A-Z]+)\s+(.*)$")


def steps_of(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments; the last stage only."""
    joined = text.replace("\\\n", " ")
    found = [(m[1], m[2].strip()) for line in joined.splitlines() if (m := LINE.match(line))]
    assert found[0][0] == "FROM"
    assert len(found) == len([line for line in joined.splitlines() if line.strip()])
    last = max(at for at, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def only(steps: list[tuple[str, str]], word: str) -> str:
    (found,) = [argument for name, argument in steps if name == word]
    return found


def command_of(argument: str) -> list[str]:
    """An exec form, with our interpreter."""
    words: list[str] = json.loads(argument)
    assert words[0] == "python"
    return [sys.executable, *words[1:]]


def copy_app(folder: Path, page: str) -> None:
    (folder / "shop.py").write_text(text_of(page, "shop.py"))


def contained(folder: Path, words: list[str], port: str) -> Stage:
    """The command of an image as the first process of a tree of its own, by a user who is nobody."""
    user = ("--user", "--map-user=10001", "--map-group=10001")
    tree = ("unshare", *user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    if run(*tree, "true").returncode:
        pytest.skip("unshare is not permitted here")
    return Stage([*tree, *(word.replace(port, "{port}") for word in words)], folder, {"HOME": "/nonexistent"})


def test_the_image_says_what_platforms_ask_for() -> None:
    steps = steps_of(text_of("deploy-docker.md", "Dockerfile"))
    assert only(steps, "STOPSIGNAL") == "SIGTERM"
    assert only(steps, "USER") == "10001:10001"
    assert only(steps, "EXPOSE") == "8000"
    assert "slim" in only(steps, "FROM")
    order = [word for word, _ in steps]
    assert order.index("USER") > order.index("RUN")
    assert only(steps, "CMD").startswith("[")
    assert re.search(r"^\.git$", text_of("deploy-docker.md", ".dockerignore"), re.MULTILINE)


def test_the_steps_of_the_image_work(tmp_path: Path) -> None:
    steps = steps_of(text_of("deploy-docker.md", "Dockerfile"))
    copy_app(tmp_path, "deploy-docker.md")
    check = only(steps, "RUN").split()
    done = subprocess.run(
        command_of(json.dumps(check)),
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = command_of(only(steps, "CMD"))
    with contained(tmp_path, words, "8000") as stage:
        assert until(lambda: stage.ask() == '{"shop":"open"}', 20) < 20, stage.log
        (first,) = children_of(stage.process.pid)
        healthy = ["nsenter", "-t", str(first), "-p", "-m", "-U", "--preserve-credentials"]
        health = command_of(only(steps, "HEALTHCHECK").partition("CMD ")[2])
        answer = run(*healthy, *health)
        assert answer.returncode == 0, answer.stderr + stage.log
        assert "serving" in answer.stdout
        os.kill(first, signal.SIGTERM)
        assert stage.wait(8.0) == 0, stage.log


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# The manifest


def test_the_manifest_agrees_with_the_settings(tmp_path: Path) -> None:
    deployment, service = yaml.safe_load_all(text_of("deploy-kubernetes.md", "shop.yaml"))
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][:4] == ["python", "-m", "vivace", "run"]
    options = dict(zip(container["args"][5::2], container["args"][6::2], strict=True))
    named = {"--admin-bind": "ADMIN_BIND", "--host": "HOST", "--port": "PORT", "--workers": "WORKERS"}
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    environ |= {one["name"]: one["value"] for one in container["env"]}
    config = Config.load(environ, tmp_path, {named[name]: value for name, value in options.items()})
    fit_platform(config, environ, 1)

    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports == {"http": config.PORT, "admin": int(str(config.ADMIN_BIND).rpartition(":")[2])}
    delay = config.SHUTDOWN_DELAY
    assert delay is not None
    assert delay == 5.0
    needed = delay + config.GRACEFUL_SHUTDOWN_TIMEOUT + 3
    assert needed < pod["terminationGracePeriodSeconds"]
    assert "lifecycle" not in container
    probes = [container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [probe["path"] for probe in probes] == ["/-/ready", "/-/ready", "/-/live"]
    assert {probe["port"] for probe in probes} == {"admin"}
    boot = container["startupProbe"]
    assert boot["periodSeconds"] * boot["failureThreshold"] >= config.BOOT_TIMEOUT
    steps = steps_of(text_of("deploy-docker.md", "Dockerfile"))
    assert container["securityContext"]["runAsUser"] == int(only(steps, "USER").partition(":")[0])
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["selector"] == selector == deployment["spec"]["template"]["metadata"]["labels"]

    (name, said), *_ = parse_budgets(config.BUDGETS).items()
    surge = deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    assert (name, said.instances, said.surge) == ("postgres", deployment["spec"]["replicas"], surge)
    assert refusal(Plan.of(name, said, int(str(said.instances)), config.WORKERS, config.OVERLAP)) == ""


def test_the_probes_of_the_manifest_are_answered(tmp_path: Path) -> None:
    deployment, _ = yaml.safe_load_all(text_of("deploy-kubernetes.md", "shop.yaml"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    copy_app(tmp_path, "deploy-kubernetes.md")
    words = [word.replace("0.0.0.0:8001", f"unix:{tmp_path}/admin") for word in container["args"]]
    environ = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "VIVACE_SHUTDOWN_DELAY": "2"}
    argv = [word.replace("8000", "{port}") for word in command_of(json.dumps(words))]
    with Stage(argv, tmp_path, environ) as stage:
        assert until(lambda: stage.ask() == '{"shop":"open"}', 20) < 20, stage.log
        paths = [container[name]["httpGet"]["path"] for name in ("readinessProbe", "livenessProbe")]
        assert until(lambda: [probe(tmp_path / "admin", path) for path in paths] == [200, 200], 5) < 5
        stage.send(signal.SIGTERM)
        assert until(lambda: probe(tmp_path / "admin", paths[0]) == 503, 1) < 1
        assert stage.ask() == '{"shop":"open"}'  # not ready, and yet nobody is turned away
        assert stage.wait(8.0) == 0


def probe(place: Path, path: str) -> int:
    """The status of a probe; 0: nobody answers."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(place))
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())
            return int(client.recv(1000).split()[1])
        except (OSError, IndexError):
            return 0
