"""The files as they are shipped, installed by the commands that they name."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from docs.examples import balancer
from docs.examples.balancer import ROOT, render
from docs.examples.http2 import adapt
from emperor.model.duration import parse_duration
from emperor.model.settings import KEYS

BALANCER = (ROOT / "nginx" / "loadbalancer.conf").read_text()
BACKEND = "".join(
    (ROOT / "nginx" / name).read_text() for name in ("backend.conf", "emperord/uwsgi.conf")
)
# A machine with this one's nginx, not yet configured: mounts, processes and a network of its own.
MACHINE = ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-e", "-c"]
PREPARE = """
cp -a /etc/nginx etc-nginx
mount --bind etc-nginx /etc/nginx
for folder in /run /var/log /var/lib/nginx; do mount -t tmpfs none $folder; done
mkdir /var/log/nginx
ip link add cable type veth peer name end
ip address add 192.0.2.1/24 dev cable
ip link set cable up
ip link set end up
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=www.example.com \
    -keyout key.pem -out chain.pem 2>/dev/null
cat chain.pem key.pem | tee all.pem >www.pem
"""
INSTALL = "\n".join(re.findall(r"^#   ((?:install|mv) .*)$", BALANCER, re.MULTILINE))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the commands find in the folder that they are given in."""
    for name in ("lua", "nginx"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def on_a_machine(checkout: Path, script: str) -> str:
    """What the script prints there, after the installation."""
    result = subprocess.run(
        [*MACHINE, PREPARE + INSTALL + script],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_nginx_accepts_and_starts_what_was_installed(checkout: Path) -> None:
    script = """
    nginx -t
    nginx
    until grep --quiet "start worker process " /var/log/nginx/error.log; do :; done
    cat /var/log/nginx/error.log
    """
    log = on_a_machine(checkout, script)
    assert not re.search(r"\[(error|crit|alert|emerg)\]", log), log


@pytest.mark.parametrize("version", [(1, 25, 1), (1, 26, 3), (1, 31)])
def test_a_newer_nginx_gets_the_directive_of_http2(
    version: tuple[int, ...], tmp_path: Path
) -> None:
    adapted, by_hand = tmp_path / "adapted.conf", tmp_path / "nginx.conf"
    for conf in (adapted, by_hand):
        conf.write_text(BALANCER)
    adapt(adapted, version)
    [command] = re.findall(r"^#   (sed -i .*http2.*) /etc/nginx/nginx.conf$", BALANCER, re.M)
    subprocess.run(f"{command} {by_hand}", shell=True, check=True)
    lines, others = (without_comments(conf.read_text().splitlines()) for conf in (adapted, by_hand))
    assert lines == others
    assert [line.strip() for line in lines if "http2" in line] == ["http2 on;"]


@pytest.mark.parametrize("version", [(), (1, 22, 1), (1, 25, 0)])
def test_an_older_nginx_gets_the_shipped_file(version: tuple[int, ...], tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(BALANCER)
    adapt(conf, version)
    assert conf.read_text() == BALANCER


def without_comments(lines: list[str]) -> list[str]:
    return [line for line in lines if not re.match(r"\s*(#|--)", line)]


@pytest.mark.parametrize("name", ["www.example.com", "_wildcard.example.com"])
def test_only_root_and_nginx_can_read_the_keys(checkout: Path, name: str) -> None:
    read = f'--clear-groups cat "/etc/nginx/certs/{name}.pem"'
    script = f"""
    setpriv --reuid www-data --regid www-data {read}
    if setpriv --reuid nobody --regid nogroup {read}; then exit 1; fi
    if setpriv --reuid nobody --regid nogroup --clear-groups ls /etc/nginx/certs; then exit 1; fi
    """
    assert on_a_machine(checkout, script).count("PRIVATE KEY") == 2


def test_rendered_files_lead_to_their_own_folder_alone(tmp_path: Path) -> None:
    conf = render(tmp_path, 8080, 8443, ["192.0.2.1"])
    files = [conf, *(conf.parent / "lua").rglob("*.lua")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    paths = re.findall(r"/(?:etc/nginx|var|run)/\S*", "\n".join(without_comments(lines)))
    assert [path for path in paths if not path.startswith(str(tmp_path))] == [
        "/etc/nginx/modules-enabled/*.conf;"
    ]


def test_a_path_that_is_no_longer_there_cannot_be_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "lua", tmp_path / "lua")
    (tmp_path / "nginx").mkdir()
    (tmp_path / "nginx" / "loadbalancer.conf").write_text("listen 80;")
    monkeypatch.setattr(balancer, "ROOT", tmp_path)
    with pytest.raises(LookupError, match="listen 443"):
        render(tmp_path / "rendered", 8080, 8443, ["192.0.2.1"])


def seconds(directive: str, conf: str) -> int:
    """The one value of a directive."""
    [value] = re.findall(rf"^\s*{directive} (\d+)s;", conf, re.MULTILINE)
    return int(value)


def test_the_balancers_timeouts_fit_those_of_its_backends() -> None:
    """Otherwise the balancer gives up a slow app, or uses a connection that is being closed."""
    [start] = [parse_duration(key.default) for key in KEYS if key.name == "start-timeout"]
    assert seconds("proxy_read_timeout", BALANCER) > (
        start + seconds("uwsgi_read_timeout", BACKEND)
    )
    assert seconds("keepalive_timeout", BALANCER) < seconds("keepalive_timeout", BACKEND)


def test_a_hang_is_noticed_while_a_get_may_be_repeated() -> None:
    lua = "".join(file.read_text() for file in (ROOT / "lua").rglob("*.lua"))
    [silent], [interval], [timeout] = (
        re.findall(rf"^local {name} = (\d+)$", lua, re.MULTILINE)
        for name in ("SILENT", "INTERVAL", "TIMEOUT_MS")
    )
    # The first probe begins an interval after the last answer, and each worker looks in intervals.
    noticed = int(interval) + int(timeout) / 1000 + int(silent) + int(interval)
    assert noticed < seconds("proxy_next_upstream_timeout", BALANCER)


def test_old_workers_end_after_every_request_has_had_its_time() -> None:
    [hours] = re.findall(r"^worker_shutdown_timeout (\d+)h;", BALANCER, re.MULTILINE)
    longest = seconds("proxy_next_upstream_timeout", BALANCER) + seconds(
        "proxy_read_timeout", BALANCER
    )
    assert longest < int(hours) * 3600


def test_a_body_that_the_balancer_takes_fits_the_backend() -> None:
    [balancers, backends] = [
        re.findall(r"client_max_body_size (\S+);", conf) for conf in (BALANCER, BACKEND)
    ]
    assert balancers == backends
