"""The console for a team: the shipped units and configuration of nginx, with passwords."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.installation import with_emperord
from tests.systemd.service import add, journal

EXAMPLES = "/usr/local/share/doc/emperord/examples"
CONF = "/etc/nginx/nginx.conf"
HOST = "console.example.com"
SOCKET = "/run/emperord-console.sock"
PREPARE = f"""
set -e
install -m 644 {EXAMPLES}/console.conf /etc/nginx/emperord-console.conf
printf 'ada:%s\\n' "$(openssl passwd -6 right)" >/etc/nginx/emperord-console.htpasswd
chown root:www-data /etc/nginx/emperord-console.htpasswd
chmod 640 /etc/nginx/emperord-console.htpasswd
sed -i 's/^http {{/&\\n include emperord-console.conf;/' {CONF}
nginx -t -q
systemctl start emperord nginx
systemctl enable --quiet --now emperord-console.socket
"""
URL = f"https://{HOST}"
CURL = ("curl", "-sk", "--resolve", f"{HOST}:443:127.0.0.1")


def curl(box: Box, *arguments: str) -> str:
    """What it prints, and on the last line the status."""
    return box.run(*CURL, "--write-out", "\n%{http_code}", *arguments).stdout


@pytest.fixture(scope="module")
def team(installed: Path) -> Iterator[Box]:
    """A machine whose administrator has done what the example says."""
    with with_emperord(installed) as box:
        box.must("sh", "-c", PREPARE)
        yield box


def test_a_team_shares_the_console_behind_nginx(team: Box) -> None:
    box = team
    add(box, "app.example")
    assert curl(box, f"{URL}/console/").endswith("401")
    assert curl(box, "-u", "ada:wrong", f"{URL}/console/").endswith("401")
    assert box.run("systemctl", "is-active", "emperord-console").stdout == "inactive\n"
    ada = ("-u", "ada:right")
    assert "app.example" in curl(box, *ada, f"{URL}/console/vassals")
    assert curl(box, *ada, f"{URL}/v1/status").endswith("404")
    # HTTP/2 writes it in small letters.
    assert "location: /console/" in box.must(*CURL, "-i", *ada, URL).lower()

    page = f"{URL}/console/vassals/app.example/restart"
    found = re.search(r'name="token" value="([^"]+)"', curl(box, *ada, page))
    assert found
    form = ("--data-urlencode", f"token={found[1]}", "-H", "Sec-Fetch-Site: same-origin")
    claims = ("-H", "X-Forwarded-User: eve")
    assert curl(box, *ada, *form, "-H", "Origin: https://evil.example", page).endswith("303")
    assert curl(box, *ada, "-H", "Origin: https://evil.example", "-d", "", page).endswith("403")
    assert curl(box, *ada, *form, *claims, page).endswith("303")
    fields = json.loads(
        journal(box, "--unit=emperord", "--output=json", "--grep=restart by").splitlines()[-1]
    )
    uid = box.must("id", "-u", "emperord-console").strip()
    assert f"by uid {uid} for ada" in fields["MESSAGE"]

    with box.start(*CURL, "-N", "--max-time", "60", *ada, f"{URL}/console/events") as live:
        assert live.stdout
        assert live.stdout.readline() == ":\n"
        box.must("systemctl", "stop", "emperord-console.service")
        os.killpg(live.pid, signal.SIGTERM)
    assert "Traceback" not in journal(box, "--unit=emperord-console.service")
    assert curl(box, *ada, f"{URL}/console/").endswith("200"), "its socket starts it again"


def test_nobody_but_nginx_reaches_the_console(team: Box) -> None:
    box = team
    ask = ("curl", "-sS", "--unix-socket", SOCKET, "http://localhost/console/")
    as_nobody = box.run("setpriv", "--reuid=nobody", "--clear-groups", *ask)
    assert "Permission denied" in as_nobody.stdout or "connect" in as_nobody.stdout
    assert as_nobody.returncode == 7
    assert "nginx has passed no user on" in box.must(*ask)
    assert box.must("id", "-nG", "www-data").strip() == "www-data"
    assert box.must("id", "-nG", "emperord-console").strip() == "emperord-console"
    [line] = [
        line
        for line in box.must("systemd-analyze", "security", "emperord-console").splitlines()
        if "Overall exposure" in line
    ]
    assert float(line.split(":")[1].split()[0]) < 1.5


def test_passwords_cannot_be_tried_without_end(team: Box) -> None:
    box = team
    tries = " ".join([f"{URL}/console/?{number}" for number in range(1000)])
    loop = f"{' '.join(CURL)} -u ada:wrong -o /dev/null --write-out '%{{http_code}}\\n'"
    answers = box.must("sh", "-c", f"{loop} {tries.replace(' ', ' -o /dev/null ')}").split()
    # 200 at once, and 20 in each second that this takes.
    assert answers.count("401") < 900
    assert answers.count("429") > 100
    assert eventually(lambda: curl(box, "-u", "ada:right", f"{URL}/console/").endswith("200"))
