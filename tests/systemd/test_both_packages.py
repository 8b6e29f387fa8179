"""The packages emperord and emperord-balancer: what is in them, and both on one machine."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.installation import ROOT
from tests.systemd.packages import BALANCER, EMPEROR, install
from tests.systemd.service import get, write

# Answers every request, as a backend with a healthy emperord does.
STUB = """\
from http.server import BaseHTTPRequestHandler, HTTPServer
class Backend(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"of the backend")
HTTPServer(("127.0.0.2", 8080), Backend).serve_forever()
"""


def files(package: Path) -> set[str]:
    """The paths of its files and links."""
    listed = subprocess.run(
        ["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return {line.split()[5][1:] for line in listed if not line.startswith("d")}


def control(package: Path, part: str) -> str:
    return subprocess.run(
        ["dpkg-deb", "--info", package, part], capture_output=True, text=True, check=True
    ).stdout


def commands(page: str, heading: str) -> list[str]:
    """The lines of the first block of code below a heading of a page."""
    block = (ROOT / "docs" / page).read_text().partition(f"\n{heading}\n")[2].split("```")[1]
    return [line for line in block.splitlines()[1:] if line]


def test_no_file_is_in_both_and_all_of_etc_are_conffiles(packages: Path) -> None:
    emperor, balancer = packages / Path(EMPEROR).name, packages / Path(BALANCER).name
    assert files(emperor) & files(balancer) == set()
    for package in (emperor, balancer):
        settings = {path for path in files(package) if path.startswith("/etc/")}
        assert set(control(package, "conffiles").split()) == settings
    lua = {path for path in files(balancer) if path.startswith("/etc/nginx/lua/")}
    assert lua == {f"/etc/nginx/{path.relative_to(ROOT)}" for path in ROOT.glob("lua/**/*.lua")}
    assert not [path for path in files(balancer) if path.endswith(".py")]
    needs = re.search("(?m)^Depends: (.*)", control(balancer, "control"))
    assert needs
    assert needs[1] == "libnginx-mod-http-lua, nginx (>= 1.22), ssl-cert"


def test_lintian_finds_no_error(packages: Path, tmp_path: Path) -> None:
    """Without the Python packages of others, which take a minute."""
    for package in (Path(EMPEROR), Path(BALANCER)):
        tree = tmp_path / package.stem
        extract = ("dpkg-deb", "--raw-extract", packages / package.name, tree)
        subprocess.run(extract, check=True)
        for folder in tree.glob("opt/emperord/lib/*/site-packages/*"):
            if folder.is_dir() and not folder.name.startswith("emperor"):
                shutil.rmtree(folder)
        sums = tree / "DEBIAN" / "md5sums"
        lines = sums.read_text().splitlines(keepends=True)
        kept = [line for line in lines if (tree / line.split("  ")[1].rstrip()).exists()]
        sums.write_text("".join(kept))
        build = ("dpkg-deb", "--root-owner-group", "--build", tree, tmp_path / package.name)
        subprocess.run(build, stdout=subprocess.DEVNULL, check=True)
    result = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error", *tmp_path.glob("*.deb")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("package", [EMPEROR, BALANCER])
def test_its_manual_pages_name_files_that_are_there(packages: Path, package: str) -> None:
    inside = files(packages / Path(package).name)
    pages = [Path(path).stem for path in inside if "/share/man/" in path]
    assert pages
    folders = {str(parent) for path in inside for parent in Path(path).parents}
    for page in pages:
        section = (ROOT / "docs/man" / page).read_text().partition(".SH FILES\n")[2]
        section = section.partition("\n.SH")[0].replace("\\-", "-")
        named = re.findall(r"/(?:usr|opt)/[\w./-]*[\w]", section)
        assert named, f"{page} has FILES"
        assert [path for path in named if path not in inside | folders | {"/usr/local"}] == []


def test_a_balancer_and_a_backend_share_a_machine(machine: Box) -> None:
    box = machine
    install(box, BALANCER)
    assert box.run("systemctl", "cat", "emperord").returncode == 1, "it is no backend"
    assert box.must("stat", "--format=%U:%G %a", "/etc/nginx/certs") == "root:www-data 750\n"
    write(box, "/etc/nginx/lua/init_backends.lua", 'web_server_ips = { "127.0.0.2:8080" }\n')
    for line in commands("installing.md", "### A load balancer"):
        if not line.startswith(("apt", "editor")):
            box.must("sh", "-euc", line)
    with box.start("/usr/bin/python3", "-c", STUB) as stub:
        try:
            eventually(lambda: get(box, "www.example.com") == "200 of the backend")
            install(box, BALANCER)
            assert get(box, "www.example.com") == "200 of the backend", "an upgrade goes on"
        finally:
            box.run("sh", "-c", "kill $(pgrep --full do_GET)")
            stub.communicate()

    install(box, EMPEROR)
    for line in commands("installing.md", "### A backend"):
        if not line.startswith(("apt", "editor")):
            box.must("sh", "-euc", line)
    *copying, asking = commands("installing.md", "## The first app")
    for line in copying:
        box.must("sh", "-euc", line)
    hello = "Hello from first.localhost: process "
    eventually(lambda: hello in box.run("sh", "-euc", asking).stdout)

    box.must("dpkg", "--purge", "emperord")
    edited = box.run("dpkg", "--verify", "emperord-balancer").stdout.split()
    assert edited == ["??5??????", "c", "/etc/nginx/lua/init_backends.lua"]
    warned = box.run("dpkg", "--purge", "emperord-balancer").stdout
    assert "nginx.conf" not in warned, "the backend's is there"
    assert box.run("test", "-e", "/etc/nginx/lua").returncode == 1
