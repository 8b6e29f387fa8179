"""The command line and environment of a vassal."""

import re
from dataclasses import replace
from pathlib import Path

import emperor.uwsgi.command
from emperor.model.spec import Identity, Spec, WireProtocol
from emperor.uwsgi.command import BEHIND_INI, argv, environment
from emperor.uwsgi.copies import Copy
from emperor.uwsgi.environment import PATH
from emperor.uwsgi.options import Adoption, UwsgiOptions

SPEC = Spec("a.example", "a.example.ini", "/s/a.example/socket", UwsgiOptions(need_app=True))
ALICE = Identity(1001, 1001, "alice", "/home/alice")


def before_and_after_ini(spec: Spec) -> tuple[str, str]:
    """What the ini may overrule, and what it may not."""
    line = " ".join(argv("/bin/uwsgi", spec, Copy("a.example.ini")))
    before, after = line.split(" --ini a.example.ini ")
    return before, after


def test_the_ini_can_override_idle_but_not_how_it_stops() -> None:
    before, after = before_and_after_ini(SPEC)
    assert before == (
        "/bin/uwsgi --uwsgi-socket fd://3 --idle 93600"
        " --buffer-size 65535 --max-vars 600 --post-buffering 65536"
        f" --set import={Path(emperor.uwsgi.command.__file__).parent}/inside.py --need-app"
    )
    assert after == (
        "--endif --die-on-idle --master --set cheap=false --set shutdown-sockets=false --no-orphans"
    )


def test_an_app_that_runs_always_has_no_idle_of_the_defaults() -> None:
    always = replace(SPEC, idle=0, runtime=UwsgiOptions(overrules_idle=True))
    assert " --set idle=0 " in before_and_after_ini(always)[1]


def test_the_options_behind_the_ini_are_known() -> None:
    _, after = before_and_after_ini(SPEC)
    assert set(re.findall(r"(?:--|(?<=--set ))([a-z-]+)", after)) == BEHIND_INI


def test_the_listener_speaks_the_protocol_that_the_ini_chose() -> None:
    before, _ = before_and_after_ini(
        replace(SPEC, runtime=UwsgiOptions(socket_option="http-socket"), protocol=WireProtocol.HTTP)
    )
    assert "--http-socket fd://3" in before


def test_the_listener_speaks_uwsgi_to_nginx() -> None:
    before, _ = before_and_after_ini(
        replace(SPEC, runtime=UwsgiOptions(socket_option="http-socket"))
    )
    assert "--uwsgi-socket fd://3" in before


def test_an_app_that_is_not_named_need_not_load() -> None:
    before, _ = before_and_after_ini(replace(SPEC, runtime=UwsgiOptions(need_app=False)))
    assert "need-app" not in before


def test_an_adoption_by_name_uses_the_spelling_of_the_ini() -> None:
    options = UwsgiOptions(adoption=Adoption.BY_NAME)
    spec = replace(SPEC, runtime=options)
    before, _ = before_and_after_ini(spec)
    assert "--log-reopen --max-fd 4096" in before
    assert "socket" not in before, "the ini names it"
    before, _ = before_and_after_ini(replace(spec, runtime=replace(options, names_socket=False)))
    assert "--socket /s/a.example/socket" in before
    assert environment(spec, ALICE, {})["UWSGI_RELOADS"] == "-1"


def test_the_environment_is_a_short_list() -> None:
    of_the_daemon = {
        "PATH": "/venv/bin:/bin", "LANG": "de_DE.UTF-8", "HOME": "/root", "USER": "root",
        "WATCHDOG_PID": "1", "INVOCATION_ID": "2", "JOURNAL_STREAM": "3:4", "NOTIFY_SOCKET": "/x",
        "LISTEN_FDS": "1", "UWSGI_RELOADS": "3", "PYTHONPATH": "/venv/lib", "VIRTUAL_ENV": "/venv",
    }  # fmt: skip
    rest = {"LANG": "de_DE.UTF-8", "PATH": PATH, "UWSGI_EMPEROR_FD": "4"}
    assert environment(SPEC, ALICE, of_the_daemon, "MARK=5") == rest | {
        "HOME": "/home/alice", "USER": "alice", "LOGNAME": "alice", "MARK": "5",
    }  # fmt: skip
    nameless = Identity(4711, 4711, None)
    assert environment(SPEC, nameless, of_the_daemon) == rest | {"HOME": "/"}
    root = Identity(0, 0, "root", "/root")
    assert environment(replace(SPEC, drops_to="uid = 7"), root, of_the_daemon) == rest
    assert environment(SPEC, ALICE, {})["LANG"] == "C.UTF-8"


def test_the_ini_can_override_the_home_of_python() -> None:
    line = " ".join(argv("/bin/uwsgi", SPEC, Copy("a.example.ini"), "/usr"))
    before, _ = line.split(" --ini a.example.ini ")
    assert before.endswith(" --set home=/usr --need-app")
