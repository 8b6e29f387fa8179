"""What `emperorctl doctor` says of a machine: one remark for each thing that is not in order."""

from dataclasses import replace

import pytest

from emperor.model.checkup import PROPERTIES, PROPERTIES_OF_APPS, SYSCTLS, examine
from emperor.model.expected_values import Weight
from emperor.model.settings import read_settings
from emperor.model.survey import (
    Ability,
    Agent,
    CheckedPath,
    CheckedSocket,
    IniFile,
    NginxFacts,
    Service,
    Survey,
    Value,
)

CONTROLLERS = frozenset({"cpu", "io", "memory", "pids"})
GOOD_SYSCTLS = {
    "fs.protected_hardlinks": "1", "fs.protected_symlinks": "1", "fs.protected_fifos": "2",
    "fs.protected_regular": "2", "kernel.unprivileged_bpf_disabled": "2",
    "kernel.pid_max": "4194304", "fs.suid_dumpable": "2", "net.core.somaxconn": "4096",
}  # fmt: skip
GOOD_UNIT = {
    "NeedDaemonReload": "no", "KillMode": "process", "Restart": "always", "NotifyAccess": "main",
    "FileDescriptorStoreMax": "8", "OOMPolicy": "continue", "OOMScoreAdjust": "-900",
    "TasksMax": "infinity", "ProtectProc": "invisible", "ProtectSystem": "yes", "DropInPaths": "",
    "PrivateDevices": "yes", "SystemCallFilter": "~reboot", "CapabilityBoundingSet": "cap_chown",
}  # fmt: skip
GOOD_APPS_UNIT = {"ActiveState": "active", "Delegate": "yes", "NeedDaemonReload": "no"}
BAD = {"CapabilityBoundingSet": "cap_chown cap_sys_module", "SystemCallFilter": "~"}


def values(good: dict[str, str], **other: str) -> tuple[Value, ...]:
    return tuple(Value(name, text) for name, text in (good | other).items())


VASSALS = CheckedPath("/etc/uwsgi/vassals", "the folder of inis", "", is_open=False)
SECRET = CheckedPath("/r.key", "the key", "", is_open=True, is_secret=True)
DOOR = CheckedSocket("/run/a.sock", "start every app", "a.socket", is_open=True)
NGINX = NginxFacts("", "www-data", 300.0, ("192.0.2.1",))
GOOD = Survey(
    settings=read_settings("", "", {}),
    version="1.0",
    paths=(VASSALS,),
    sockets=(),
    inis=(IniFile("a.example.ini", "ann", is_open=False),),
    sysctls=values(GOOD_SYSCTLS),
    members=("www-data",),
    operators=(),
    nginx=NGINX,
    unit=values(GOOD_UNIT),
    apps_unit=values(GOOD_APPS_UNIT),
    service=Service("1.0", 65536),
    uwsgi_version="2.0.31",
    controllers=CONTROLLERS,
    swap_bytes=1,
)


# It has the package emperord, whose daemon does not run there.
BALANCER = replace(
    GOOD, service=None, inis=(), nginx=NginxFacts("", "www-data"), unit=(),
    agent=Agent(is_active=True, is_alone=True),
)  # fmt: skip


def test_a_machine_in_order_needs_no_remark() -> None:
    assert examine(GOOD) == []
    assert GOOD_SYSCTLS.keys() == {*SYSCTLS}
    assert GOOD_UNIT.keys() == {*PROPERTIES}
    assert GOOD_APPS_UNIT.keys() == {*PROPERTIES_OF_APPS}


def test_what_cannot_be_seen_is_no_fault_of_the_machine() -> None:
    unseen = replace(GOOD, paths=(), inis=(), sysctls=(), members=(), nginx=None, unit=())
    assert examine(unseen) == []


def ini(name: str, user: str | None, is_open: bool = False) -> IniFile:
    return IniFile(name, user, is_open)


OPEN, NOTE = Weight.OPEN, Weight.NOTE


@pytest.mark.parametrize(
    ("survey", "weight", "part"),
    [
        (
            replace(GOOD, paths=(replace(VASSALS, changer="/etc/uwsgi"),)), OPEN,
            "others than root can change /etc/uwsgi, and so the folder of inis",
        ),
        (replace(GOOD, paths=(replace(VASSALS, is_open=True),)), NOTE, "every user can list"),
        (replace(GOOD, paths=(SECRET,)), OPEN, "every user can read /r.key, the key"),
        (replace(GOOD, paths=(replace(SECRET, is_open=False),)), None, ""),
        (replace(GOOD, inis=(ini("b.ini", "bob", True),)), OPEN, "other users can write b.ini"),
        (
            replace(GOOD, inis=(IniFile("b.ini", "ann", False, 300.0),)), OPEN,
            "nginx waits 5m for an app, and its start-timeout is no shorter in b.ini",
        ),
        (replace(GOOD, inis=(IniFile("b.ini", "ann", False, 299.0),)), None, ""),
        (replace(GOOD, inis=(ini("b.ini", "root"),)), OPEN, "an app runs as root by b.ini"),
        (
            replace(GOOD, inis=tuple(ini(f"{n}.ini", "www-data") for n in range(5))), OPEN,
            "nginx's user www-data, which may connect to the sockets of all apps, by"
            " 0.ini, 1.ini, 2.ini and 2 more",
        ),
        (
            replace(GOOD, members=("www-data", "ann", "root")), OPEN,
            "ann may connect to the sockets of all apps, as a member of www-data",
        ),
        (replace(GOOD, members=("ann",), nginx=None, inis=()), None, ""),
        (replace(GOOD, members=()), OPEN, "nginx's user www-data is not in www-data"),
        (replace(GOOD, operators=("bob",)), NOTE, "may do all that emperorctl can: bob"),
        (replace(GOOD, nginx=NginxFacts("unknown directive")), OPEN, "unknown directive"),
        (replace(GOOD, nginx=replace(NGINX, user="root")), OPEN, "nginx's workers run as root"),
        (replace(GOOD, nginx=replace(NGINX, trusted=("127.0.0.0/8",))), OPEN, "127.0.0.0/8"),
        (replace(GOOD, nginx=replace(NGINX, trusted=("::1",))), OPEN, "X-Forwarded-For of ::1"),
        (replace(GOOD, nginx=replace(NGINX, trusted=("0.0.0.0/0",))), OPEN, "0.0.0.0/0"),
        (replace(GOOD, nginx=replace(NGINX, trusted=("unix:",))), OPEN, "of unix:"),
        (replace(GOOD, nginx=replace(NGINX, trusted=("lb.example",))), None, ""),
        (replace(GOOD, nginx=replace(NGINX, asks_seconds=None)), NOTE, "does not ask emperord"),
        (
            replace(GOOD, nginx=replace(NGINX, asks_seconds=60.0)), OPEN,
            "which may take",
        ),
        (replace(GOOD, unit=values(GOOD_UNIT, DropInPaths="/a /b")), NOTE, "changed by /a, /b"),
        (replace(GOOD, service=None), OPEN, "emperord does not answer"),
        (replace(GOOD, service=Service("0.9", 65536)), NOTE, "emperord 0.9 runs, and 1.0 is"),
        (replace(GOOD, service=Service("1.0", 1024)), OPEN, "may have 1024 open files"),
        (replace(GOOD, service=Service("1.0", 65536, "no member")), OPEN, "no member"),
        (replace(GOOD, agent=Agent(is_active=False, is_alone=False)), OPEN, "-balancer does not"),
        (replace(GOOD, agent=Agent(is_active=True, is_alone=False)), None, ""),
        (replace(BALANCER, agent=Agent(is_active=False, is_alone=True)), OPEN, "-balancer does"),
        (BALANCER, None, ""),
        (replace(GOOD, service=None, agent=Agent(True, False)), OPEN, "emperord does not"),
        (replace(GOOD, uwsgi_version=""), OPEN, "uWSGI does not run"),
        (replace(GOOD, uwsgi_version="2.0.19.1"), OPEN, "uWSGI is 2.0.19.1"),
        (replace(GOOD, uwsgi_version="2.1-dev"), None, ""),
        (replace(GOOD, controllers=CONTROLLERS - {"memory"}), OPEN, "memory: an app can take"),
        (replace(GOOD, controllers=CONTROLLERS - {"pids"}), OPEN, "that no other one starts"),
        (replace(GOOD, controllers=CONTROLLERS - {"io"}), NOTE, "takes the disks from all"),
        (
            replace(GOOD, controllers=CONTROLLERS - {"cpu"}, cannot_yield="no file"), OPEN,
            "takes the CPU from all others, and no tenant yields",
        ),
        (replace(GOOD, sockets=(DOOR,)), OPEN, "may connect to /run/a.sock, and so start every"),
        (replace(GOOD, sockets=(replace(DOOR, is_open=False),)), None, ""),
        (replace(GOOD, nginx=replace(NGINX, shows_console=True)), OPEN, "everybody to the console"),
        (
            replace(GOOD, sysctls=values(GOOD_SYSCTLS, **{"net.core.somaxconn": "128"})), NOTE,
            "net.core.somaxconn is 128",
        ),
        (replace(GOOD, has_python=False), NOTE, "uWSGI has no plugin for Python built in"),
        (
            replace(GOOD, lacking=frozenset({Ability.APPEND_ONLY})), OPEN,
            "an app can erase, stretch and rewrite its log: log-dir /var/log/emperord has no",
        ),
        (
            replace(GOOD, lacking=frozenset({Ability.MARKS})), NOTE,
            "no tenant can read the log of its app: log-dir /var/log/emperord has no attributes",
        ),
        (
            replace(GOOD, lacking=frozenset({Ability.ACCESS_LISTS})), NOTE,
            "belongs to the user of its app: run-dir /run/emperord has no access lists",
        ),
        (replace(GOOD, nginx_oom_score=0), OPEN, "may end nginx for the memory of an app"),
        (replace(GOOD, nginx_oom_score=-500), None, ""),
        (replace(BALANCER, nginx_oom_score=0), None, ""),
        (replace(GOOD, swap_bytes=0), NOTE, "no swap"),
        (replace(GOOD, cannot_yield="no file"), NOTE, "yields it to others: no file"),
        *(
            (replace(GOOD, sysctls=values(GOOD_SYSCTLS, **{name: "0"})), None, f"{name} is 0: ")
            for name in GOOD_SYSCTLS
            if name not in ("net.core.somaxconn", "fs.suid_dumpable")
        ),
        (
            replace(GOOD, sysctls=values(GOOD_SYSCTLS, **{"fs.suid_dumpable": "1"})), OPEN,
            "a tenant can trace a process that has become its user",
        ),
        *(
            (
                replace(GOOD, unit=values(GOOD_UNIT, **{name: BAD.get(name, "1")})), None,
                f"emperord.service has {name}={BAD.get(name, '1')}: ",
            )
            for name in GOOD_UNIT
            if name != "DropInPaths"
        ),
        *(
            (
                replace(GOOD, apps_unit=values(GOOD_APPS_UNIT, **{name: "failed"})), OPEN,
                f"emperord-apps.service has {name}=failed: ",
            )
            for name in GOOD_APPS_UNIT
        ),
    ],
)  # fmt: skip
def test_one_thing_out_of_order_is_one_remark(
    survey: Survey, weight: Weight | None, part: str
) -> None:
    remarks = examine(survey)
    assert len(remarks) == bool(part), remarks
    for remark in remarks:
        assert part in remark.text
        assert remark.cure
        assert weight in (None, remark.weight)


def test_an_app_of_an_operator_is_told_and_the_operators_too() -> None:
    known = read_settings("", "", {"control-group": "staff"})
    remarks = examine(replace(GOOD, settings=known, operators=("ann", "bob")))
    assert [remark.text for remark in remarks] == [
        "an app runs as a member of staff, which may do all that emperorctl can, by a.example.ini",
        "members of staff may do all that emperorctl can: ann, bob",
    ]


def test_what_is_open_comes_first() -> None:
    remarks = examine(replace(GOOD, swap_bytes=0, operators=("bob",), uwsgi_version=""))
    assert [remark.weight for remark in remarks] == [OPEN, NOTE, NOTE]
