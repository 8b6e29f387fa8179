"""What uWSGI starts beside the workers again and again. test_causes.py has each for real."""

import pytest

from emperor.uwsgi.crash_loops import failing_again, workers_die_at_start

MULE = """\
spawned uWSGI mule 1 (pid: {pid})
ModuleNotFoundError: No module named 'jobs'
OOOPS mule 1 (pid: {pid}) crippled...trying respawn...
"""
DAEMON = """\
[uwsgi-daemons] respawning "nosuch --x" (uid: 0 gid: 0)
/bin/sh: 1: nosuch: not found
[uwsgi-daemons] throttling "nosuch --x" for 1 seconds
"""
REQUEST = "[pid: 5|app: 0|req: 1/1] 127.0.0.1 () GET / => generated 6 bytes in 0 msecs\n"


def test_a_mule_that_dies_at_each_start_is_named() -> None:
    told = failing_again(REQUEST + MULE.format(pid=7) + REQUEST + MULE.format(pid=8))
    assert told.startswith(
        "cannot keep mule 1 running: ModuleNotFoundError: No module named 'jobs'"
    )


def test_a_daemon_that_ends_at_each_start_is_named() -> None:
    told = failing_again(DAEMON + REQUEST + DAEMON)
    assert (
        told == "cannot keep the daemon 'nosuch --x' running: nosuch: not found; correct it, or"
        " drop it"
    )


@pytest.mark.parametrize(
    "printed",
    [
        "",
        REQUEST,
        MULE.format(pid=7),
        DAEMON,
        2 * MULE.format(pid=7) + 200 * REQUEST,
        2 * "an app prints OOOPS mule 1 (pid: 7) crippled\n",
        '[uwsgi-cron] command "backup" running with pid 7 exited after 1 second(s)\n',
    ],
)
def test_what_ended_once_or_long_ago_is_no_failure(printed: str) -> None:
    assert failing_again(printed) == ""


def test_a_spooler_that_dies_at_each_start_is_named() -> None:
    started = "spawned the uWSGI spooler on dir /s with pid 9\n"
    died = f"{started}KeyError: 'x'\nOOOPS the spooler is no more...trying respawn...\n"
    assert failing_again(2 * died).startswith("cannot keep the spooler running: KeyError: 'x'")


DIED = "DAMN ! worker {id} (pid: 7) died :( trying respawn ...\n"
AGAIN = "Respawned uWSGI worker {id} (new pid: 8)\n"
SLEEPS = "worker respawning too fast !!! i have to sleep a bit (2 seconds)...\n"


@pytest.mark.parametrize(
    ("printed", "is_loop"),
    [
        ("", False),
        (DIED.format(id=1) + AGAIN.format(id=1), False),
        ("".join(DIED.format(id=n) + AGAIN.format(id=n) for n in range(1, 9)), False),
        (4 * AGAIN.format(id=1), False),
        (5 * AGAIN.format(id=1), True),
        (AGAIN.format(id=1) + SLEEPS, True),
    ],
)
def test_a_few_deaths_of_workers_are_no_loop(printed: str, is_loop: bool) -> None:
    assert workers_die_at_start(printed) is is_loop
