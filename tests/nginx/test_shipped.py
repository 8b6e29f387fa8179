"""The files as they are shipped."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from docs.examples import backend
from docs.examples.backend import SHIPPED, render
from emperor.web.hit import Hit

# HTTP needs these, and the daemon's server reads them.
OF_HTTP = {"Connection", "Host", "Content-Length"}


class Headers(dict[str, str]):
    """Notes which headers are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    def get(self, name: str, default: object = None) -> Any:
        self.read.add(name)
        return default


@pytest.mark.parametrize("without_ipv6", [False, True])
def test_nginx_accepts_the_production_configuration(without_ipv6: bool) -> None:
    """In namespaces of its own: nginx -t makes a pid file, logs and folders, and binds ports."""
    script = f"echo {without_ipv6:d} >/proc/sys/net/ipv6/conf/all/disable_ipv6"
    script += " && mount -t tmpfs none /run && mount -t tmpfs none /var/log && mkdir /var/log/nginx"
    script += ' && mount -t tmpfs none /var/lib/nginx && exec nginx -t -e stderr -c "$0"'
    command = ["unshare", "--mount", "--net", "sh", "-c", script, f"{SHIPPED}/backend.conf"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "warn" not in result.stderr


@pytest.mark.parametrize(
    "name", ["backend.conf", "loadbalancer.conf", "console.conf", "emperord/site.conf"]
)
def test_each_listener_is_there_for_both_versions_of_ip(name: str) -> None:
    lines = re.findall(r"^ *listen +(\S.*);", (SHIPPED / name).read_text(), re.MULTILINE)
    listeners = [" ".join(line.split()) for line in lines]
    ipv4 = [line for line in listeners if not line.startswith("[::]:")]
    assert ipv4
    assert [line.removeprefix("[::]:") for line in listeners if line not in ipv4] == ipv4


@pytest.mark.parametrize(
    ("name", "block"), [("loadbalancer.conf", "http"), ("console.conf", "server")]
)
def test_the_documented_command_turns_http2_on_by_its_directive(
    tmp_path: Path, name: str, block: str
) -> None:
    """For nginx 1.25.1 and later, which warn of the parameter of `listen`."""
    text = (SHIPPED / name).read_text()
    [command] = re.findall(r"^#   (sed -i .*http2 on.*) /etc/.*$", text, re.MULTILINE)
    assert " ssl http2;" in text
    conf = tmp_path / name
    conf.write_text(text)
    subprocess.run(f"{command} {conf}", shell=True, check=True)
    assert f"\n{block} {{\n    http2 on;\n" in conf.read_text()
    assert not re.search(r"^ *listen.* http2", conf.read_text(), re.MULTILINE)


def test_the_documented_command_removes_ipv6_alone(tmp_path: Path) -> None:
    """For a kernel without IPv6, on which nginx cannot start otherwise."""
    site = SHIPPED / "emperord" / "site.conf"
    for name, others in (("backend.conf", [site]), ("loadbalancer.conf", [])):
        shipped = SHIPPED / name
        [command] = re.findall(r"^#   (sed -i .*listen.*)$", shipped.read_text(), re.MULTILINE)
        command, *paths = command.split(" /etc/nginx/")
        assert len(paths) == 1 + len(others)
        for source in (shipped, *others):
            conf = tmp_path / source.name
            conf.write_text(source.read_text())
            subprocess.run(f"{command} {conf}", shell=True, check=True)
            left = conf.read_text().splitlines()
            gone = [line for line in source.read_text().splitlines() if line not in left]
            assert gone
            assert all(re.search(r"^ *listen \[::\]:(80|443)\b", line) for line in gone)


def test_rendered_files_lead_to_their_own_folder_alone(tmp_path: Path) -> None:
    conf = render(tmp_path, 8080, 8443)
    text = "".join(file.read_text() for file in conf.parent.rglob("*.conf"))
    assert f"unix:{tmp_path}/sockets/$domain/socket" in text
    for path in ("/var/lib/", "/var/log/", "/var/sockets", "/run/"):
        assert path not in text.replace(str(tmp_path / "run"), "")


def test_a_path_that_is_no_longer_there_cannot_be_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    (shipped / "emperord").mkdir(parents=True)
    (shipped / "backend.conf").write_text("listen 80;")
    monkeypatch.setattr(backend, "SHIPPED", shipped)
    with pytest.raises(LookupError, match="listen 443"):
        render(tmp_path, 8080, 8443)


def test_nginx_sends_the_headers_that_the_daemon_reads() -> None:
    headers = Headers()
    Hit.of(headers)
    asks = (SHIPPED / "emperord" / "ask.conf").read_text()
    assert set(re.findall(r"proxy_set_header +(\S+)", asks)) - OF_HTTP == headers.read
    # console.conf asks for the console, on another socket.
    for snippet in set((SHIPPED / "emperord").glob("*.conf")) - {SHIPPED / "emperord/console.conf"}:
        sent = set(re.findall(r"proxy_set_header +(\S+)", snippet.read_text()))
        assert sent <= headers.read | OF_HTTP, snippet.name
