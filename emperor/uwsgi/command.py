"""The command line and environment of a vassal (measured on uWSGI 2.0.31, see docs/decisions).

Options before `--ini` yield to the ini's own, options after it win over them.
"""

from collections.abc import Mapping

from emperor.model.spec import Spec
from emperor.uwsgi.options import Adoption, uwsgi_options

# Where the vassal finds its listener and its end of the emperor pipe. By name, uWSGI looks through
# the descriptors from 3 up to --max-fd for the ones it inherited.
LISTENER_FD = 3
PIPE_FD = 4

# Whatever speaks to uWSGI through the environment would be taken for the administrator's word.
_FOREIGN_PREFIXES = ("UWSGI_", "LISTEN_", "NOTIFY_", "UPSTART_")
_BY_NAME_MAX_FD = "4096"


def argv(uwsgi: str, spec: Spec) -> list[str]:
    """How to run `spec` with the binary `uwsgi`, in the folder of its ini."""
    return [
        uwsgi,
        *_adoption(spec),
        "--idle", str(spec.idle),
        *(["--need-app"] if uwsgi_options(spec).need_app else []),
        "--ini", spec.ini,
        "--die-on-idle",
        # `master = false` would hear no order of ours, `cheap = true` would never send byte 5.
        "--master",
        "--set", "cheap=false",
        # With a graceful stop it would shut the daemon's own listener down.
        "--set", "shutdown-sockets=false",
        "--no-orphans",
    ]  # fmt: skip


def clean_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The daemon's environment without what would speak to uWSGI."""
    return {
        name: value
        for name, value in inherited.items()
        if not name.startswith(_FOREIGN_PREFIXES) and name != "WATCHDOG_USEC"
    }


def environment(spec: Spec, inherited: Mapping[str, str]) -> dict[str, str]:
    """What the vassal sees of the daemon's environment, and its end of the pipe."""
    env = clean_environment(inherited)
    env["UWSGI_EMPEROR_FD"] = str(PIPE_FD)
    if uwsgi_options(spec).adoption is Adoption.BY_NAME:
        # uWSGI adds one: it believes that this is a reload, and looks for inherited sockets.
        env["UWSGI_RELOADS"] = "-1"
    return env


def _adoption(spec: Spec) -> list[str]:
    options = uwsgi_options(spec)
    if options.adoption is Adoption.BY_FD:
        return [f"--{options.socket_option}", f"fd://{LISTENER_FD}"]
    named = [] if options.names_socket else [f"--{options.socket_option}", spec.socket]
    return [*named, "--log-reopen", "--max-fd", _BY_NAME_MAX_FD]
