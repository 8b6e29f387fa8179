"""`make apt-repo`: a signed repository, and a machine that installs and upgrades from it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.eventually import eventually
from tests.systemd.box import Box, booted
from tests.systemd.installation import ROOT
from tests.systemd.packages import BALANCER, EMPEROR, NEXT, NEXT_VERSION
from tests.systemd.service import version
from tests.traces import public_folder

SCRIPT = ROOT / "systemd" / "debian" / "repository"
SOURCES = "/etc/apt/sources.list.d/emperord.sources"


def publish(repository: Path, key: str, *packages: Path) -> str:
    """Put packages into a repository, and return what the script says."""
    command: list[str | Path] = [SCRIPT, repository, key, "1", *packages]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def use(box: Box, repository: str) -> None:
    """Do what docs/installing.md says, and have no other repository: the box has no network."""
    page = (ROOT / "docs/installing.md").read_text().partition("\n## A repository for apt\n")[2]
    sources = re.search(r"(?ms)^Types: deb.*?(?=^END)", page)
    assert sources
    suite = box.must("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME").strip()
    text = sources[0].replace("https://apt.example.com", f"file:{repository}")
    text = text.replace("bookworm", suite)
    box.must("sh", "-c", "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*")
    box.must("cp", f"{repository}/emperord.asc", "/etc/apt/keyrings/emperord.asc")
    box.must("sh", "-c", 'printf %s "$1" > "$0"', SOURCES, text)


def apt(box: Box, *arguments: str) -> str:
    command = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes")
    return box.must(*command, *arguments)


def test_a_machine_installs_and_upgrades_from_the_repository(packages: Path) -> None:
    def package(place: str) -> Path:
        return packages / Path(place).name

    with public_folder() as folder, public_folder() as repository:
        key = str(folder / "keys" / "key.asc")
        said = publish(repository, key, package(EMPEROR), package(BALANCER))
        assert f"Made the key {key}. Keep a copy" in said
        assert Path(key).stat().st_mode & 0o77 == 0
        (folder / "box").mkdir()
        tree: dict[str, Path | str] = {"/usr/sbin/policy-rc.d": ""}
        with booted(folder / "box", tree, {"/srv/apt": repository}) as box:
            use(box, "/srv/apt")
            apt(box, "update")
            apt(box, "install", "emperord", "emperord-balancer")
            assert box.must("systemctl", "is-active", "emperord") == "active\n"

            assert "Made the key" not in publish(repository, key, package(NEXT))
            apt(box, "update")
            apt(box, "install", "--only-upgrade", "emperord")
            eventually(lambda: version(box) == NEXT_VERSION)

            (repository / "emperord.asc").unlink()
            publish(repository, str(folder / "other.asc"), package(NEXT))
            refused = box.run("apt-get", "update")
            assert "NO_PUBKEY" in refused.stdout or "Missing key" in refused.stdout


def test_a_key_that_gpg_does_not_have_is_refused(tmp_path: Path) -> None:
    refused = subprocess.run(
        [SCRIPT, tmp_path / "apt", "nobody@example.com", "1"],
        capture_output=True, text=True, check=False, env=os.environ | {"GNUPGHOME": str(tmp_path)},
    )  # fmt: skip
    assert refused.returncode == 1
    assert "cannot sign: gpg has no secret key nobody@example.com; " in refused.stderr
    assert not (tmp_path / "apt").exists()


@pytest.mark.parametrize(
    ("missing", "package"), [("apt-ftparchive", "apt-utils"), ("dpkg-shlibdeps", "dpkg-dev")]
)
def test_a_repository_is_not_begun_without_its_tools(
    tmp_path: Path, missing: str, package: str
) -> None:
    programs = ("apt-ftparchive", "bash", "dirname", "dpkg-deb", "gpg", "gpg-agent")
    for program in {*programs, "dpkg-shlibdeps"} - {missing}:
        (tmp_path / program).symlink_to(str(shutil.which(program)))
    refused = subprocess.run(
        [SCRIPT, tmp_path / "apt", "", "1"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stderr.endswith(f"there is no {missing}; run `apt install {package}`\n")
