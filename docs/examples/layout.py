"""The files of `make run`: one copy of the apps, as on storage that the backends share, and for
each backend a folder with its inis, sockets and logs."""

import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parent
BIN = Path(sys.executable).parent

# Linux accepts every address of 127.0.0.0/8 as this machine's.
BALANCER = "127.0.0.1"
BACKENDS = ("127.0.0.11", "127.0.0.12")

# Short, so that an app falls asleep while somebody watches. The shipped inis say 26 hours.
IDLE_SECONDS = 20
# The owner of the inis, and so the user of the apps. nobody exists on every machine and owns no
# files. The user must not be in nginx's group, which may connect to every app's socket.
APP_USER = "nobody"
# The packages that the apps import, and their dependencies.
PACKAGES = (
    "asgiref", "blinker", "click", "django", "flask", "itsdangerous", "jinja2", "markupsafe",
    "sqlparse", "werkzeug",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend: its address, and its folder within the demo's folder."""

    address: str
    folder: Path

    @property
    def run_dir(self) -> Path:
        """The run-dir of its emperord."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """The log of its emperord."""
        return self.folder / "emperord.log"

    @property
    def nginx_conf(self) -> Path:
        """The configuration of its nginx, written by `backend.render`."""
        return self.folder / "nginx" / "nginx.conf"

    @property
    def has_nginx(self) -> bool:
        """Whether its nginx runs."""
        return self.nginx_conf.with_name("nginx.pid").exists()


@dataclass(frozen=True, slots=True)
class Fleet:
    """The demo's folder and ports. The balancer and each backend listen on the ports `http` and
    `https` of their addresses. `password` is the password of Django's admin."""

    folder: Path
    http: int
    https: int
    password: str

    @property
    def backends(self) -> list[Backend]:
        """The backends in the order of the balancer's list."""
        return [Backend(address, self.folder / address) for address in BACKENDS]

    @property
    def domains(self) -> list[str]:
        """The sample apps' hosts."""
        return sorted(ini.stem for ini in (EXAMPLES / "vassals").iterdir())


def lay_out(fleet: Fleet) -> None:
    """Create the files in the fleet's empty folder."""
    shutil.copytree(EXAMPLES / "apps", fleet.folder / "apps")
    _copy_environment(fleet.folder / "venv")
    _prepare_django(fleet.folder / "apps" / "django", fleet.password)
    for backend in fleet.backends:
        for name in ("vassals", "sockets", "run", "logs"):
            (backend.folder / name).mkdir(parents=True)
        _drop_inis(backend.folder, fleet.folder / "apps")


def _drop_inis(folder: Path, apps: Path) -> None:
    for ini in (EXAMPLES / "vassals").iterdir():
        text = ini.read_text()
        for path, here in (("/var/sockets", folder / "sockets"), ("/srv", apps)):
            text = text.replace(path, str(here))
        vassal = folder / "vassals" / ini.name
        vassal.write_text(text.replace("idle = 93600", f"idle = {IDLE_SECONDS}"))
        shutil.chown(vassal, APP_USER)


def _copy_environment(venv: Path) -> None:
    """Make a virtual environment for the apps: uWSGI finds the environment that it is installed
    in. The checkout's own environment may be in a folder that the apps' user cannot enter."""
    site = next(Path(sys.prefix).glob("lib/python*/site-packages"))
    (venv / "bin").mkdir(parents=True)
    shutil.copy(BIN / "uwsgi", venv / "bin")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv)
    for package in PACKAGES:
        shutil.copytree(site / package, venv / site.relative_to(sys.prefix) / package)


def _prepare_django(project: Path, password: str) -> None:
    data = project / "data"
    data.mkdir()
    (data / "secret").write_text(secrets.token_urlsafe(32))
    for order in (
        ["migrate", "--verbosity=0"],
        ["createsuperuser", "--noinput", "--username=admin", "--email=admin@localhost"],
    ):
        subprocess.run(
            [sys.executable, project / "application.py", *order],
            env={"DJANGO_SUPERUSER_PASSWORD": password},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    for path in (data, *data.iterdir()):
        shutil.chown(path, APP_USER)
        path.chmod(path.stat().st_mode & 0o700)
