"""What PyPI gets: the source distribution, and the wheel that is built from it."""

import os
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
URL = "https://github.com/emperord/emperord"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built from the files of the checkout without a network."""
    folder = tmp_path_factory.mktemp("distribution")
    source, tools = folder / "source", folder / "tools"
    source.mkdir()
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    copy = ("cp", "--parents", "-t", str(source), *filter(None, names.decode().split("\0")))
    subprocess.run(copy, cwd=ROOT, check=True)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    offline = ("--no-index", "--find-links", str(ROOT / "build" / "wheels"))
    subprocess.run([*pip, "install", *offline, "--target", tools, "setuptools"], check=True)
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c",
         f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"],
        cwd=source, env=os.environ | {"PYTHONPATH": str(tools)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stdout + result.stderr
    [distribution] = folder.glob("*.tar.gz")
    subprocess.run(
        [*pip, "wheel", *offline, "--no-deps", "--wheel-dir", folder, distribution], check=True
    )
    return folder


def metadata(built: Path) -> Message:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_source_distribution_has_what_the_wheel_needs(built: Path) -> None:
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name.partition(".data/data/")[2] or name for name in archive.namelist()}
    package = {str(path.relative_to(ROOT)) for path in ROOT.glob("emperor/**/*.*")}
    shipped = {path for path in package if path.endswith((".py", ".html"))}
    lua = {f"share/emperord/{path.relative_to(ROOT)}" for path in ROOT.glob("lua/**/[a-z]*.lua")}
    assert shipped | lua <= inside
    assert {"share/man/man8/emperord.8", "share/man/man1/emperorctl.1"} <= inside
    assert not [name for name in inside if name.startswith(("tests/", "docs/"))]
    [distribution] = built.glob("*.tar.gz")
    with tarfile.open(distribution) as archive_of_sources:
        sources = {name.partition("/")[2] for name in archive_of_sources.getnames()}
    assert {"LICENSE", "README.md", "docs/pypi.md", "setup.cfg", "pyproject.toml"} <= sources


def test_the_metadata_says_what_pypi_shows(built: Path) -> None:
    said = metadata(built)
    assert (said["Name"], said["License"], said["Home-page"]) == ("emperord", "MIT", URL)
    assert (said["Author"], said["Requires-Python"]) == ("The emperord authors", ">=3.11")
    assert "@" in said["Author-email"]
    classifiers = said.get_all("Classifier", [])
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)} <= set(
        classifiers
    )
    assert all(URL in url for url in said.get_all("Project-URL", []))
    needs = said.get_all("Requires-Dist", [])
    assert len(needs) > 10
    assert [need for need in needs if ">=" not in need] == []


def test_the_description_works_outside_of_the_repository(built: Path) -> None:
    said = metadata(built)
    assert said["Description-Content-Type"] == "text/markdown"
    text = str(said.get_payload())
    assert "What `pip install emperord` gives" in text
    assert "](docs/" not in text
    assert "](" not in text.replace("](https://", "")
