"""`systemctl stop` is orderly, takes the time it needs, and leaves nothing."""

from tests.backend import ends_after
from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.service import add, daemon, get, journal, left_over, override, show, upgrade

SLOW = f"hook-as-user-atexit = {ends_after('sleep 3')}"


def result(box: Box) -> str:
    return show(box, "Result")["Result"]


def test_what_an_app_moved_into_another_session_is_killed_too(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example", "runaway.py")
    status, job = get(box, "app.example").split()
    assert status == "200"
    assert f"{job} sleep infinity" in left_over(box)
    upgrade(box)
    box.must("systemctl", "stop", "emperord")
    assert (result(box), left_over(box)) == ("success", "")
    assert "app.example: killed 1 processes that the app has left" in journal(box)


def test_what_a_daemon_killed_as_it_stops_leaves_is_ended(
    box: Box,
) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example", "runaway.py", more=f"hook-as-user-atexit = {ends_after('sleep 10')}")
    status, job = get(box, "app.example").split()
    assert status == "200"
    box.must("systemctl", "stop", "--no-block", "emperord")
    eventually(lambda: "another signal" in box.must("journalctl", "--unit=emperord"))
    box.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "emperord")
    eventually(lambda: show(box, "ActiveState")["ActiveState"] == "failed")
    eventually(lambda: left_over(box) == "", what="systemd has ended the unit of the apps")
    box.must("systemctl", "start", "emperord")
    eventually(lambda: get(box, "app.example").startswith("200 "))
    assert f"{job} sleep infinity" not in left_over(box)


def test_an_app_may_drain_longer_than_the_unit_allows(box: Box) -> None:
    override(box, "TimeoutStopSec=1\nWatchdogSec=3")
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example", more=SLOW)
    assert get(box, "app.example").startswith("200 ")
    box.must("systemctl", "stop", "emperord")
    assert (result(box), left_over(box)) == ("success", "")
    assert "did not stop" not in journal(box)


def test_a_second_signal_hurries(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example", more=f"hook-as-user-atexit = {ends_after('sleep 1000')}")
    assert get(box, "app.example").startswith("200 ")
    box.must("systemctl", "stop", "--no-block", "emperord")
    eventually(lambda: "another signal" in box.must("journalctl", "--unit=emperord"))
    box.must("kill", str(daemon(box)))
    eventually(lambda: show(box, "ActiveState")["ActiveState"] == "inactive")
    assert (result(box), left_over(box)) == ("success", "")


def test_a_stop_takes_the_socket_units_along(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example")
    sockets = ("emperord.socket", "emperord-control.socket")
    box.must("systemctl", "is-active", *sockets)
    box.must("systemctl", "stop", "emperord")
    eventually(lambda: box.run("systemctl", "is-active", *sockets).stdout == "inactive\n" * 2)
    assert get(box, "app.example").startswith("503 ")
    assert show(box, "ActiveState")["ActiveState"] == "inactive"
    assert box.must("ls", "/run/emperord").split() == ["emperord.lock"]
    box.must("systemctl", "start", "emperord")
    box.must("systemctl", "is-active", *sockets)
    assert get(box, "app.example").startswith("200 ")
