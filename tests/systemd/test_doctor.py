"""`emperorctl doctor` on a machine with emperord and nginx as shipped."""

import json
import re

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.service import add, journal, show, write

DROP_IN = "/etc/systemd/system/emperord.service.d/mine.conf"
DROP_IN_OF_NGINX = "/etc/systemd/system/nginx.service.d/mine.conf"


def remarks(box: Box) -> dict[str, list[str]]:
    """The texts by weight. The kernel and its settings are those of the host."""
    told = json.loads(box.run("emperorctl", "doctor", "--json").stdout.splitlines()[0])
    found: dict[str, list[str]] = {"open": [], "note": []}
    for remark in told["remarks"]:
        if "sysctl" not in remark["cure"] and "cgroup" not in remark["cure"]:
            found[remark["weight"]].append(remark["text"])
    return found


def test_a_new_installation_has_nothing_open(box: Box) -> None:
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, "app.example", more="[emperor]\nuid = nobody\ngid = nogroup")
    assert remarks(box)["open"] == []
    assert box.must("stat", "--format=%a %U:%G", "/etc/uwsgi/vassals") == "711 root:root\n"
    # A machine may have other control groups than this one. The daemon knows what it could make.
    told = re.search(r"cannot limit (.*) of apps", journal(box, "--unit=emperord"))
    missing = re.findall(r"have no controller (\w+)", box.run("emperorctl", "doctor").stdout)
    assert sorted(missing) == (told[1].split(", ") if told else [])

    box.must("usermod", "--append", "--groups", "www-data", "games")
    write(box, "/etc/nginx/emperord/balancers.conf", "set_real_ip_from 127.0.0.1;\n"
          "geo $realip_remote_addr $from_balancer { default 0; }\n")  # fmt: skip
    write(box, DROP_IN, "[Service]\nKillMode=mixed\nLimitNOFILE=1000\n"
          "CapabilityBoundingSet=~\nSystemCallFilter=\nPrivateDevices=no\n")  # fmt: skip
    write(box, DROP_IN_OF_NGINX, "[Service]\nOOMScoreAdjust=0\n")
    box.must("systemctl", "daemon-reload")
    box.must("systemctl", "restart", "emperord")
    eventually(lambda: show(box, "ActiveState")["ActiveState"] == "active")
    box.must("chmod", "0777", "/etc/uwsgi")
    found = remarks(box)
    for part in (
        "games may connect to the sockets of all apps",
        "others than root can change",
        "X-Forwarded-For of 127.0.0.1",
        "KillMode=mixed: systemd ends all apps",
        "may have 1000 open files",
        "the kernel may end nginx for the memory of an app",
    ):
        assert any(part in text for text in found["open"]), (part, found)
    for part in (DROP_IN, "has PrivateDevices=no", "make every system call", "change the kernel"):
        assert any(part in text for text in found["note"]), (part, found)
    done = box.run("emperorctl", "doctor")
    assert done.returncode == 1
    assert "of these are open" in done.stdout
