"""What `make run` lays out: the apps once, as on storage that backends share, and for each backend
a folder of its own with its inis, sockets and logs."""

import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path(__file__).parent
BIN = Path(sys.executable).parent

# All of 127.0.0.0/8 is this machine's.
BALANCER = "127.0.0.1"
BACKENDS = ("127.0.0.11", "127.0.0.12")

# Short, so that one can watch an app fall asleep. The inis say 26 hours, as the talk's does.
IDLE_SECONDS = 20
# Whom the apps run as: a user that owns nothing, exists everywhere, and is not nginx's, whose
# members may connect to every app's socket. emperord runs an ini as its owner.
APP_USER = "nobody"
# What the apps import, and what those import.
PACKAGES = (
    "asgiref", "blinker", "click", "django", "flask", "itsdangerous", "jinja2", "markupsafe",
    "sqlparse", "werkzeug",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backend:
    """A machine of the fleet: its address, and its part of the demo's folder."""

    address: str
    folder: Path

    @property
    def run_dir(self) -> Path:
        """Its emperord's."""
        return self.folder / "run"

    @property
    def log(self) -> Path:
        """What its emperord tells."""
        return self.folder / "emperord.log"

    @property
    def nginx_conf(self) -> Path:
        """As `backend.render` writes it."""
        return self.folder / "nginx" / "nginx.conf"

    @property
    def has_nginx(self) -> bool:
        """Whether its nginx runs."""
        return self.nginx_conf.with_name("nginx.pid").exists()


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where it lives. `http` and `https` are ports of the balancer and, the same,
    of each backend;
    `password` is that of Django's admin."""

    folder: Path
    http: int
    https: int
    password: str

    @property
    def backends(self) -> list[Backend]:
        """In the order of the balancer's list."""
        return [Backend(address, self.folder / address) for address in BACKENDS]

    @property
    def domains(self) -> list[str]:
        """The sample apps' hosts."""
        return sorted(ini.stem for ini in (EXAMPLES / "vassals").iterdir())


def lay_out(fleet: Fleet) -> None:
    """Fill the fleet's folder, which is empty."""
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
    """A virtual environment with what the apps need: uWSGI finds it by its own place. That of the
    checkout may lie where the apps' user cannot go."""
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
