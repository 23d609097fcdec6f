"""Our columns of the matrix: what users suffer from elsewhere does not happen here."""

import pytest

from bench.matrix import CASES, OURS, Cell, table, try_case

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", CASES)
def test_our_column_is_right(name: str) -> None:
    cell = try_case(name, OURS["vivace"])
    assert cell.right, cell.text


@pytest.mark.parametrize("server", ["vivace asgi", "vivace wsgi"])
@pytest.mark.parametrize("name", ["B", "C", "D", "W"])
def test_hosted_apps_are_no_worse_off(name: str, server: str) -> None:
    cell = try_case(name, OURS[server])
    assert cell.right, cell.text


def test_what_is_not_right_is_marked() -> None:
    cells = {("one", "A"): Cell("exit 3", right=True), ("two", "A"): Cell("goes on", right=False)}
    assert table("A", cells).splitlines()[-1] == "| A app raises at import | exit 3 | ! goes on |"


def test_a_server_that_does_not_start_is_not_right() -> None:
    cell = try_case("K", OURS["vivace"]._replace(argv="{python} -c pass"))
    assert cell == ("it does not answer:", False)
