"""The first process of the container, without the service of systemd; and the Containerfile."""

import re

from tests.eventually import eventually
from tests.systemd.box import Box
from tests.systemd.installation import ROOT
from tests.systemd.service import get, show, write

EXAMPLE = ROOT / "docs" / "examples" / "first-app"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Containerfile with their arguments."""
    text = (ROOT / "Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line)]


def test_emperord_and_nginx_serve_without_a_service(box: Box) -> None:
    write(box, "/srv/first.localhost/application.py", (EXAMPLE / "application.py").read_text())
    ini = "first.localhost.ini"
    write(box, f"/etc/uwsgi/vassals/{ini}", (EXAMPLE / ini).read_text())
    with box.start("/usr/bin/setsid", "--wait", f"{ROOT}/container/start") as process:
        try:
            ask = ("curl", "--silent", "http://first.localhost/")
            eventually(lambda: "Hello from first" in box.run(*ask).stdout)
            assert show(box, "ActiveState")["ActiveState"] == "inactive"
            assert get(box, "unknown.example").startswith("404 ")
        finally:
            box.run("pkill", "--full", "container/start")
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert "has ended" not in printed
    assert box.run("pgrep", "--full", "--list-full", "nginx|uwsgi|bin/emperord").stdout == ""


def test_the_container_ends_with_either_of_them(box: Box) -> None:
    write(box, "/etc/nginx/nginx.conf", "wrong")
    ended = box.run("/usr/bin/setsid", "--wait", f"{ROOT}/container/start")
    assert ended.returncode == 1
    assert "emperord or nginx has ended, so the container ends" in ended.stdout
    assert box.run("pgrep", "--full", "--list-full", "nginx|uwsgi|bin/emperord").stdout == ""


def test_the_containerfile_copies_what_is_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [rest.split() for name, rest in instructions() if name == "COPY"]
    sources = [words[0] for words in copied if not words[0].startswith("--from")]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] not in ignored
    for _, command in instructions():
        assert not re.search(r"\bsudo\b|\blatest\b", command)


def test_the_containerfile_follows_the_rules_of_images() -> None:
    """The rules of hadolint that apply here: DL3006, DL3008 to DL3009, DL3014, DL3015, DL3020,
    DL3025. Versions of packages are not pinned, since the base is one release."""
    names = [name for name, _ in instructions()]
    assert set(names) <= {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "EXPOSE", "CMD"}
    assert re.fullmatch(r"BASE=docker\.io/library/debian:\w+", dict(instructions())["ARG"])
    for name, rest in instructions():
        if name == "RUN" and "apt-get install" in rest:
            assert "apt-get install --yes --no-install-recommends " in rest
            assert rest.startswith("apt-get update && ")
            assert "&& rm -rf /var/lib/apt/lists/*" in rest
        if name == "CMD":
            assert rest.startswith('["/')


def test_the_container_has_all_that_the_build_needs() -> None:
    script = (ROOT / ".ci" / "wheels").read_text()
    [lists] = re.findall(r"(?s)headers=\((.*?)\nprograms=\((.*?)\)", script)
    needed = {word.partition(":")[2] for part in lists for word in part.split() if ":" in word}
    installs = [rest for name, rest in instructions() if name == "RUN" and "apt-get" in rest]
    assert needed | {"make", "dpkg-dev", "python3-dev", "python3-venv"} <= set(installs[0].split())
