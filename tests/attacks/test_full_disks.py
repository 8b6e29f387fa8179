"""A tenant who has used up its share of the disk loses its own sites alone. The disk keeps blocks
for root, as a quota does: root and alice's running app go on, mallory can write nothing more."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.peers import as_tenant
from tests.attacks.tenants import ALICE, MALLORY, UIDS, Tenants
from tests.faults.disks import disk
from tests.nginx_server import Nginx

SIZE = 16 << 20
WRITES = "open('cache', 'w').write('x' * 100_000)\n"


@pytest.fixture(scope="module")
def home(folder: Path) -> Iterator[Path]:
    """A folder of mallory's on a small disk, beside all folders of the daemon."""
    place = folder / "small"
    with disk(place, folder / "image", SIZE, of_root=50):
        place.chmod(0o755)
        home = place / "home"
        home.mkdir()
        (home / "app.py").write_text(WRITES)
        subprocess.run(["chown", "-R", str(UIDS[MALLORY]), home], check=True)
        yield home


def as_mallory(script: str) -> None:
    subprocess.run(as_tenant(MALLORY, "sh", "-c", script), check=False, stderr=subprocess.DEVNULL)


def test_a_full_disk_costs_its_tenant_alone(home: Path) -> None:
    with Nginx(home.parent) as nginx, Tenants(home.parent, nginx) as tenants:
        tenants.expect("cannot serve mallory.example.ini: the file is empty")
        tenants.expect("caches.example: starting → throttled")
        tenants.host(ALICE, "alice.example")
        tenants.host(MALLORY, "mallory.example")
        tenants.host(MALLORY, "caches.example", file=str(home / "app.py"), chdir=str(home))
        assert tenants.get("mallory.example").status == 200
        fill = f"for size in 64k 1k 1; do dd if=/dev/zero bs=$size of={home}/$size; done"
        ini = tenants.vassals / "mallory.example.ini"
        # As an editor writes in place, while an app of hers fills the disk.
        as_mallory(f'text=$(cat {ini}); : >{ini}; {fill}; echo "$text" >{ini}')
        assert ini.stat().st_size == 0
        tenants.call("POST", "/v1/rescan")
        assert tenants.get("mallory.example").status == 200, "the version before serves"
        assert "the file is empty; write it again; if its disk or a quota is full" in str(
            tenants.detail("mallory.example")["ini_error"]
        )
        assert tenants.get("caches.example").status == 503
        error = tenants.detail("caches.example")["status"]["last_error"]
        assert error.endswith("since the disk of the log is full; free space there")
        assert tenants.get("alice.example").status == 200
        assert tenants.call("POST", "/v1/vassals/alice.example/restart")[0] == 200
        (home / "64k").unlink()
        assert tenants.call("POST", "/v1/vassals/caches.example/start")[0] == 502
        error = tenants.detail("caches.example")["status"]["last_error"]
        assert "no app loaded" in error or "callable" in error, "its disk has room again"
