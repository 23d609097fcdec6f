"""The benchmark reads its tools rightly and draws what it measured."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench import measure, proc, report, run
from tests.conftest import ROOT

WRK = """Running 2s test @ http://127.0.0.1:9109/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   612.00us  102.03us   3.51ms   92.11%
  Latency Distribution
     50%  598.00us
     99%    1.02ms
  206311 requests in 2.00s, 33.25MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec: 103151.51
"""


def cost(*microseconds: float) -> measure.Cost:
    return measure.Cost(
        cpu=[us / 1e6 for us in microseconds], rate=[1000.0], p99=[0.002], rss=10 * measure.MIB
    )


def test_report_of_wrk_is_read() -> None:
    seen = measure.parse_wrk(WRK)
    assert (seen.requests, seen.errors) == (206311, 11)
    assert seen.p99 == pytest.approx(0.00102)


def test_report_without_requests_counts_none() -> None:
    assert measure.parse_wrk("unable to connect") == measure.Burst(0, 0, None)


def test_table_shows_the_median_and_its_ratio_to_the_reference() -> None:
    table = report.requests_table({"nginx": cost(4, 5, 9), "vivace": cost(7, 7.5, 8)}, "nginx")
    assert "| nginx | 5.00 | 1.00 | 1000 | 2.00 | 10 | 0 |" in table
    assert "| vivace | 7.50 | 1.50 |" in table


def test_table_has_a_row_for_a_server_that_never_answered() -> None:
    table = report.requests_table({"nginx": cost(5), "broken": measure.Cost(errors=4)}, "nginx")
    assert "| broken | - | - | - | - | - | 4 |" in table


def test_table_names_the_duties_that_are_skipped() -> None:
    costs = {"nginx": cost(5), "vivace": cost(7), "quick": cost(6)}
    table = report.requests_table(costs, "nginx", {"nginx": None, "vivace": [], "quick": ["Date", "HEAD"]})
    header, _, *rows = table.splitlines()
    assert header.endswith("| skips |")
    assert [row.split(" | ")[-1] for row in rows] == ["- |", "nothing |", "Date, HEAD |"]


def test_transfers_that_failed_have_a_row_too() -> None:
    found = {
        "nginx": measure.Transfer([0.2, 0.4]),
        "vivace": measure.Transfer([0.15], measure.MIB),
        "x": measure.Transfer(),
    }
    table = report.transfers_table(found, "nginx")
    assert "| vivace | 0.150 | 0.50 | 1.00 |" in table
    assert "| x | - | - | - |" in table
    assert "| vivace | 0.150 | - | 1.00 |" in report.transfers_table(found, "x")


def test_file_of_a_transfer_has_its_size_and_is_made_once(tmp_path: Path) -> None:
    file = measure.make_file(tmp_path, 2)
    assert file.stat().st_size == 2 * measure.MIB
    file.write_bytes(b"kept")
    assert measure.make_file(tmp_path, 2).read_bytes() == b"kept"


def test_chart_is_a_picture_with_a_bar_for_each_server() -> None:
    picture = ET.fromstring(report.chart("CPU <us>", {"nginx": 5.0, "vivace": 7.5}, "us"))
    bars = picture.findall("{http://www.w3.org/2000/svg}rect")
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert [bar.attrib["class"] for bar in bars] == ["peer", "ours"]
    assert widths[0] / widths[1] == pytest.approx(5 / 7.5, abs=0.01)


def test_section_of_a_page_is_replaced_and_the_rest_kept() -> None:
    page = "a\n<!-- t -->\nold\n<!-- /t -->\nb\n"
    assert report.replace_section(page, "t", "new\n") == "a\n<!-- t -->\nnew\n<!-- /t -->\nb\n"
    with pytest.raises(ValueError, match="no <!-- u -->"):
        report.replace_section(page, "u", "")


def test_cpu_of_a_tree_counts_its_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    child = f"{burn}print(1, flush=True)\ninput()"
    parent = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        assert len(proc.tree(process.pid)) == 2
        assert proc.cpu_seconds(process.pid) >= 0.25
        assert proc.rss(process.pid) > 4 * measure.MIB


def test_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.parse(["--only", "requests,speed"])
    assert "unknown part speed; there are requests, transfers, idle, start" in capsys.readouterr().err


def test_page_and_chart_are_written(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("<!-- machine -->\n<!-- /machine -->\n<!-- hello -->\n<!-- /hello -->\n")
    bench = run.Bench(run.parse([]), tmp_path)
    bench.sections["hello"] = "a table\n"
    bench.write(tmp_path)
    assert not (tmp_path / "benchmarks.svg").exists()
    bench.hello["vivace"] = 7.5
    bench.write(tmp_path)
    text = page.read_text()
    assert "\na table\n" in text
    assert f"Python {platform.python_version()}" in text
    assert (tmp_path / "benchmarks.svg").read_text().startswith("<svg ")


@pytest.mark.skipif(bool(measure.missing_tools()), reason="needs wrk, nginx, curl and taskset")
def test_a_short_run_measures_nginx_and_us(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text((ROOT / "docs" / "benchmarks.md").read_text())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.run",
            "--only=requests",
            "--groups=asgi",
            "--servers=nginx,vivace",
            "--rounds=1",
            "--seconds=1",
            "--connections=4",
            f"--write={tmp_path}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert answer.returncode == 0, answer.stderr
    assert "| nginx | " in answer.stdout
    assert "| vivace | " in answer.stdout
    assert answer.stdout.count("| nothing |") == 1
    assert "| vivace | " in page.read_text()
