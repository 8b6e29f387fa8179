"""The agent of a load balancer as a service, without a registry that answers."""

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.service import journal

_LIST = "/var/lib/emperord-balancer/backends.lua"
_METRICS = "/var/lib/emperord-balancer/metrics.prom"
_SET_UP = f"""
set -e
printf '[registry]\\nendpoints = https://127.0.0.1:1\\n' >/etc/uwsgi/registry.ini
chgrp emperord-balancer /etc/uwsgi/registry.ini
chmod 640 /etc/uwsgi/registry.ini
install -d -o emperord-balancer -g emperord-balancer /var/lib/emperord-balancer
printf -- '-- emperord-balancer writes this file: table 7, 1 slots of 1 backends.\\n' >{_LIST}
printf 'web_server_ips = {{\\n    "192.0.2.11", -- 1 to 1\\n}}\\n' >>{_LIST}
chown emperord-balancer: {_LIST}
systemctl start emperord-balancer
"""


def test_it_runs_as_a_user_of_its_own_without_a_registry(box: Box) -> None:
    box.must("sh", "-c", _SET_UP)
    said = "cannot follow the registry"
    eventually(lambda: said in journal(box, "--unit=emperord-balancer"))
    assert "going on with table 7" in journal(box, "--identifier=emperord-balancer")
    assert box.must("systemctl", "is-active", "emperord-balancer").strip() == "active"
    user = box.must("ps", "-o", "user:32=", "-p", _shown(box, "MainPID")).strip()
    assert user == "emperord-balancer"
    assert "192.0.2.11" in box.must("setpriv", "--reuid=www-data", "--clear-groups", "cat", _LIST)
    metrics = box.must("setpriv", "--reuid=nobody", "--clear-groups", "cat", _METRICS)
    assert "emperord_balancer_table_serial 7.0" in metrics
    assert "emperord_balancer_registry_reached 0.0" in metrics
    box.must("systemctl", "disable", "emperord")
    box.must("systemctl", "enable", "emperord-balancer")
    box.run("systemctl", "stop", "emperord.socket", "emperord-control.socket", "emperord")
    told = box.run("emperorctl", "doctor").stdout
    assert "emperord does not answer" not in told
    assert "emperord-balancer" not in told
    box.must("systemctl", "stop", "emperord-balancer")
    assert "open: emperord-balancer does not run" in box.run("emperorctl", "doctor").stdout
    assert _shown(box, "Result") == "success"


def test_a_file_that_cannot_be_used_is_told_once(box: Box) -> None:
    box.must("install", "-m", "600", "/dev/null", "/etc/uwsgi/registry.ini")
    assert box.run("systemctl", "start", "emperord-balancer").returncode != 0
    said = "cannot read /etc/uwsgi/registry.ini: Permission denied; a group of this user must"
    assert journal(box, "--unit=emperord-balancer").count(said) == 1
    assert _shown(box, "ActiveState") == "failed"
    assert _shown(box, "NRestarts") == "0"
    box.must("sh", "-c", _SET_UP)
    assert _shown(box, "ActiveState") == "active"


def test_a_reload_takes_up_a_changed_file_or_fails(box: Box) -> None:
    box.must("sh", "-c", _SET_UP)
    pid = _shown(box, "MainPID")
    box.must("sh", "-c", "echo 'user = nobody' >>/etc/uwsgi/registry.ini")
    assert box.run("systemctl", "reload", "emperord-balancer").returncode != 0
    said = "cannot use user of /etc/uwsgi/registry.ini: set password-file too"
    assert said in journal(box, "--identifier=emperord-balancer")
    assert _shown(box, "ActiveState") == "active"
    box.must("sed", "-i", "s/^user.*/prefix = \\/other/", "/etc/uwsgi/registry.ini")
    box.must("systemctl", "reload", "emperord-balancer")
    said = "what /etc/uwsgi/registry.ini says now is in use"
    eventually(lambda: said in journal(box, "--identifier=emperord-balancer"))
    assert _shown(box, "MainPID") == pid


def _shown(box: Box, name: str) -> str:
    return box.must(
        "systemctl", "show", f"--property={name}", "--value", "emperord-balancer"
    ).strip()


def test_its_unit_leaves_little_open(box: Box) -> None:
    lines = box.must("systemd-analyze", "security", "emperord-balancer").splitlines()
    [line] = [line for line in lines if "Overall exposure" in line]
    assert float(line.split(":")[1].split()[0]) < 2.0
