"""Work that a thread does, one piece after the other."""

import pytest

from emperor.linux.one_thread import OneThread


async def test_a_fault_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def faulty() -> None:
        raise ZeroDivisionError

    thread = OneThread("pulled")
    thread.do_later(faulty)
    assert await thread.do(lambda: "done") == "done"
    assert "cannot do what is due in the thread 'pulled': a fault in emperord" in caplog.text
    thread.close()
