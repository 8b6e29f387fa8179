"""The command line and environment of a vassal (measured on uWSGI 2.0.31, see docs/decisions).

The options of the ini win over options before `--ini`, and lose to options after it.
"""

from collections.abc import Mapping
from pathlib import Path

from emperor.model.spec import Identity, Spec, WireProtocol
from emperor.uwsgi.copies import Copy
from emperor.uwsgi.environment import environment_of, environment_of_nobody
from emperor.uwsgi.options import PACKET_BYTES, Adoption, uwsgi_options

# The descriptors of the listener and of the vassal's end of the emperor pipe. For an adoption by
# name uWSGI looks through all descriptors from 3 up to --max-fd.
LISTENER_FD = 3
PIPE_FD = 4
FIRST_INHERITED_FD = 5

# Stands behind `--ini`. An if- or for- that the ini leaves open would apply to what follows: uWSGI
# drops those options, or dies of one without a value (measured).
END_OF_BLOCK = "--endif"

# The options behind `--ini`, which an ini can forbid.
BEHIND_INI = frozenset({
    "endif", "die-on-idle", "master", "set", "cheap", "shutdown-sockets", "no-orphans",
})  # fmt: skip

# How the command begins that keeps uWSGI from its vacuum. uWSGI prints each command that it runs.
VACUUM_GUARD = "kill -0 "

# Runs in the app's Python before the app.
_INSIDE = Path(__file__).with_name("inside.py")
_TIME_IMPORTS = Path(__file__).with_name("time_imports.py")

_BY_NAME_MAX_FD = "4096"

# Every request that nginx lets in must reach the app: uWSGI closes the connection of a larger
# request without an answer. The length of a uwsgi packet has 16 bits. nginx lets in 1,000 headers
# (its max_headers), and adds some; uWSGI takes twice as many variables as --max-vars says. This is
# address space for each core of each worker. It becomes memory only where a request uses it.
_MAX_VARS = "600"
# uWSGI reads a body to its end before the app runs, from this size on into a file. Otherwise an app
# that answers before it has read all, for instance with 401, closes the connection while nginx
# sends. nginx then reports a failure, and the answer is lost. (docs/decisions/requests.md)
_BODY_BYTES_IN_MEMORY = "65536"


def argv(
    uwsgi: str, spec: Spec, copy: Copy, python_home: str = "", *, is_measured: bool = False
) -> list[str]:
    """The command that runs `spec` with the binary `uwsgi`, in the folder of its ini, which it
    reads from `copy`. `python_home` is for an app that names no home or virtualenv, if it is not
    empty. `is_measured`: it tells which imports take the time of its start."""
    return [
        uwsgi,
        *_adoption(spec),
        "--idle", str(spec.idle),
        "--buffer-size", str(PACKET_BYTES),
        "--max-vars", _MAX_VARS,
        "--post-buffering", _BODY_BYTES_IN_MEMORY,
        # A uWSGI that has Python as a plugin does not know --import and --home before it has loaded
        # that.
        "--set", f"import={_INSIDE}",
        *(["--set", f"import={_TIME_IMPORTS}"] if is_measured else []),
        *(["--set", f"home={python_home}"] if python_home else []),
        *(["--need-app"] if uwsgi_options(spec).need_app else []),
        # Other than after --ini, %N and the like still refer to the ini that follows.
        *(["--include", copy.defaults, END_OF_BLOCK] if copy.defaults else []),
        "--ini", copy.ini,
        END_OF_BLOCK,
        # Over the `idle` of a file that the ini includes.
        *(["--set", f"idle={spec.idle}"] if uwsgi_options(spec).overrules_idle else []),
        "--die-on-idle",
        # Without a master it would not obey the pipe. With `cheap` it would never send byte 5.
        "--master",
        "--set", "cheap=false",
        # A graceful stop would shut down the listener, which the daemon keeps.
        "--set", "shutdown-sockets=false",
        "--no-orphans",
    ]  # fmt: skip


def without_vacuum(pid: int) -> list[str]:
    """Options before `--ini` by which uWSGI ends without its `vacuum` while the process `pid` runs,
    to which the files belong. An ini that forbids options does not forbid these."""
    return ["--exec-as-user-atexit", f"{VACUUM_GUARD}{pid} 2>/dev/null && kill -9 $PPID"]


def environment(
    spec: Spec, user: Identity, inherited: Mapping[str, str], mark: str = ""
) -> dict[str, str]:
    """The environment of the vassal, which starts as `user`: the variables of this user, the number
    of its end of the pipe, and the `mark` of its processes, as "NAME=value"."""
    # With `drops_to` it is root for a moment, and changes its user after that.
    env = environment_of_nobody(inherited) if spec.drops_to else environment_of(user, inherited)
    if mark:
        name, _, value = mark.partition("=")
        env[name] = value
    env["UWSGI_EMPEROR_FD"] = str(PIPE_FD)
    if uwsgi_options(spec).adoption is Adoption.BY_NAME:
        # uWSGI adds one, takes this for a reload, and looks for inherited sockets.
        env["UWSGI_RELOADS"] = "-1"
    return env


def _adoption(spec: Spec) -> list[str]:
    options = uwsgi_options(spec)
    if options.adoption is Adoption.BY_FD:
        # An option `protocol` of the ini applies to `socket`.
        is_uwsgi = spec.protocol is WireProtocol.UWSGI
        option = "uwsgi-socket" if is_uwsgi else options.socket_option
        return [f"--{option}", f"fd://{LISTENER_FD}"]
    named = [] if options.names_socket else [f"--{options.socket_option}", spec.socket]
    return [*named, "--log-reopen", "--max-fd", _BY_NAME_MAX_FD]
