"""The benchmarks of broadcast run: every message is counted, and the chart can be read."""

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.broadcast import fan_out, memory, rate, serving
from bench.interest import measure as measure_interest
from bench.plot import draw_lines

pytestmark = pytest.mark.once


def test_what_many_sockets_cost(tmp_path: Path) -> None:
    with serving("bench.apps.groups:app", tmp_path) as server:
        assert 0 < memory(server, "/join/idle", 200) < 40
        last, used = fan_out(server.port, 100)
        assert 0 < used < last + 1_000
        assert rate(server.port, 200, 50) > 300_000
    with serving("floor", tmp_path) as server:
        assert fan_out(server.port, 100)[1] > 0


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
def test_a_machine_that_wants_nothing_gets_nothing() -> None:
    by_interest = measure_interest(2, "interest", 50)
    to_all = measure_interest(2, "all", 50)
    assert (by_interest["deliveries"], to_all["deliveries"]) == (1, 2)
    assert by_interest["octets"] < to_all["octets"] * 0.75


def test_the_chart() -> None:
    chart = draw_lines("T", "x", "y", {"one": [(1, 2), (10, 1_200)], "two": [(1, 3), (10, 4)]})
    texts = [element.text for element in ET.fromstring(chart).iter("{http://www.w3.org/2000/svg}text")]
    assert {"T", "x", "y", "one", "two", "1,200", "10"} <= set(texts)
