"""A certificate that is about to end is an event, once a day."""

import datetime as dt
from pathlib import Path

import pytest

from tests.certificates import Authority
from vivace.server.certificates import TlsFiles
from vivace.server.tls import Tls


@pytest.mark.parametrize(("days", "told"), [(13.9, 1), (14.1, 0)])
def test_who_runs_it_is_told_before_a_certificate_ends(
    days: float, told: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    pair = Authority(tmp_path).issue("shop.test", expires=ends)
    tls = Tls([TlsFiles(*pair)])
    caplog.clear()
    assert not tls.refresh()
    assert not tls.refresh()
    ours = [record.__dict__ for record in caplog.records if record.name == "vivace.server"]
    assert [record.get("event") for record in ours] == ["tls.expiring"] * told, caplog.text
    assert all(record["subject"] == pair.cert for record in ours)
