"""What the unit's sandbox denies to an app, and what it must leave to it."""

from tests.systemd.box import Box
from tests.systemd.service import add, get

OF_NOBODY = "[emperor]\nuid = nobody"
PACKET = "import socket as s; s.socket(s.AF_PACKET, s.SOCK_DGRAM)"


def output_of(box: Box, program: str, domain: str = "app.example", more: str = OF_NOBODY) -> str:
    """The status and the answer of an app that runs `program`."""
    box.must("systemctl", "start", "emperord", "nginx")
    add(box, domain, "curious.py", f"env = PROGRAM={program}\n{more}")
    return get(box, domain)


def test_a_tenant_sees_its_processes_and_the_daemon_sees_all(box: Box) -> None:
    assert output_of(box, "ps -e -o user= | sort -u") == "200 nobody"
    memory = box.must("emperorctl", "status", "app.example", "--json")
    assert '"rss_bytes": null' not in memory


def test_a_tenant_can_only_append_to_its_log(box: Box) -> None:
    """The daemon needs a capability for that."""
    assert output_of(box, "echo served") == "200 served"
    attributes = box.must("lsattr", "/var/log/emperord/app.example.log").split()[0]
    assert "a" in attributes


def test_a_tenant_can_use_what_runs_as_another_user(box: Box) -> None:
    """Without it sendmail takes no mail: postdrop is set-gid."""
    box.must("cp", "/usr/bin/id", "/srv/id")
    box.must("chmod", "4755", "/srv/id")
    may = "no-new-privs = false"
    assert output_of(box, "/srv/id -u", more=f"{OF_NOBODY}\n{may}") == "200 0"


def test_an_app_of_root_may_what_an_app_may_need_and_no_more(box: Box) -> None:
    programs = {
        "mkdir /srv/upload && chmod g+s /srv/upload && test -g /srv/upload": "200",
        "touch /usr/local/site /tmp/file /etc/file /home/file": "200",
        "unshare --user --map-root-user true": "200",
        "touch /usr/bin/file 2>&1 | grep -o Read-only": "200 Read-only",
        f"python3 -c '{PACKET}' 2>&1 | grep -o 'not supported'": "200 not supported",
    }
    for number, (program, answer) in enumerate(programs.items()):
        assert output_of(box, program, f"{number}.example", more="") == answer, program
