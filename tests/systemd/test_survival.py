"""The daemon dies and is replaced, by a real systemd and under load, and nobody notices."""

from statistics import median

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.service import (
    NOTED,
    PLACE,
    add,
    crash,
    get,
    leaders,
    left_over,
    show,
    under_load,
    upgrade,
)


def test_crashes_and_upgrades_lose_no_request_and_no_process(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    awake = [f"awake-{number}.example" for number in range(10)]
    asleep = [f"asleep-{number}.example" for number in range(10)]
    box.must("mkdir", PLACE)
    for domain in awake:
        add(box, domain, more=NOTED)
        assert get(box, domain).startswith("200 ")
    for domain in asleep:
        add(box, domain, more=f"{NOTED}\nidle = 1\nenv = BOOT_SECONDS=0.2")
    before = leaders(box, awake)
    with under_load(box, awake, asleep) as load:
        seconds = []
        for _ in range(10):
            seconds.append(crash(box))
            load.go_on()
        for _ in range(3):
            upgrade(box)
            load.go_on()
    print(f"back after {median(seconds):.2f} s, at most {max(seconds):.2f} s")
    assert leaders(box, awake) == before
    assert show(box, "NRestarts") == {"NRestarts": "10"}


def test_the_sockets_of_the_units_outlive_a_crash_and_a_restart(box: Box) -> None:
    box.must("systemctl", "start", "emperord")
    sockets = ("emperord.socket", "emperord-control.socket")
    asking = ("systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", *sockets)
    before = box.must(*asking)
    crash(box)
    box.must("systemctl", "restart", "emperord")
    assert box.must("systemctl", "is-active", *sockets) == "active\n" * 2
    assert box.must(*asking) == before
    box.must("emperorctl", "status")


def test_a_stop_right_after_a_crash_leaves_nothing_either(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example", "runaway.py")
    assert get(box, "app.example").startswith("200 ")
    box.must("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "emperord")
    box.must("systemctl", "stop", "emperord")
    eventually(lambda: left_over(box) == "")


def test_a_crash_keeps_the_groups_and_the_next_daemon_ends_them(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example", "runaway.py")
    _, job = get(box, "app.example").split()
    grouped = "/emperord-apps.service/uid-0/v-app.example/"
    crash(box)
    assert grouped in box.must("cat", f"/proc/{job}/cgroup")
    upgrade(box)
    assert grouped in box.must("cat", f"/proc/{job}/cgroup")
    assert f"{job} sleep infinity" in left_over(box)
    box.must("emperorctl", "sleep", "app.example")
    eventually(lambda: left_over(box).count("sleep infinity") == 0, what="the job is gone")
    groups = "find /sys/fs/cgroup -path '*emperord-apps.service/uid-*'"
    eventually(lambda: box.must("sh", "-c", groups) == "", what="the groups are gone")
    box.must("systemctl", "stop", "emperord")
    eventually(lambda: box.run("systemctl", "is-active", "emperord-apps").returncode == 3)
