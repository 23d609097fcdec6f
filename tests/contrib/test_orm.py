"""The ORM from coroutines: in a thread, whose connections are looked at before and after."""

import threading

import pytest

from vivace.contrib.django import orm


@pytest.mark.parametrize("fails", [False, True])
async def test_a_function_runs_in_a_thread_between_looks_at_its_connections(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    seen: list[tuple[str, int]] = []
    monkeypatch.setattr(orm, "close_old_connections", lambda: seen.append(("look", threading.get_ident())))

    def work() -> int:
        seen.append(("work", threading.get_ident()))
        return 1 // (not fails)

    if fails:
        with pytest.raises(ZeroDivisionError):
            await orm.in_thread(work)
    else:
        assert await orm.in_thread(work) == 1
    assert [what for what, _ in seen] == ["look", "work", "look"]
    assert len({thread for _, thread in seen}) == 1
    assert seen[0][1] != threading.get_ident()
