"""The faults: what each does, and what becomes of requests meanwhile.

An outcome or a log line that a row does not allow fails the suite.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random

from tests.faults import strikes
from tests.faults.outcome import Outcome
from tests.faults.site import Site

_NOTHING_ELSE: frozenset[Outcome] = frozenset()
# A killed app breaks off the requests it works on, and is not started again at once.
_CUT_OFF = frozenset({Outcome.BROKEN, Outcome.REPEATED})
_REFUSED = frozenset({Outcome.REFUSED})
_UNKNOWN = frozenset({Outcome.UNKNOWN})
# aiohttp sends a GET once more whose connection ends without an answer, as browsers do.
_UNANSWERED = frozenset({Outcome.UNANSWERED, Outcome.REPEATED})

_APP_DIED = "upstream prematurely closed|Connection reset|Connection refused|Broken pipe"
_NO_DAEMON = "activate.sock"
# An app that boots meanwhile is started once more.
_TAKEN = "was taken away|was replaced while the app started"
# Meanwhile apps start by exec.
_NO_BASE = "cannot fork apps from a base"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row. `allows`: what a request may come to besides being answered. The others are
    patterns of the lines that daemon and nginx log of it as a warning or worse. `alone`: no other
    can strike at the same time."""

    name: str
    strike: Callable[[Site, Random], AbstractContextManager[None]]
    allows: frozenset[Outcome] = _NOTHING_ELSE
    warning: str = "$^"
    nginx: str = "$^"
    alone: bool = False


FAULTS = (
    Fault(
        "masters are killed",
        strikes.masters_killed,
        _CUT_OFF | _REFUSED,
        "killed by SIGKILL|exit status unknown",  # of a process that an earlier daemon has started
        _APP_DIED,
    ),
    Fault("workers are killed", strikes.workers_killed, _CUT_OFF, nginx=_APP_DIED),
    Fault("masters hang", strikes.masters_stopped),
    Fault("workers hang", strikes.workers_stopped),
    Fault("the daemon hangs", strikes.daemon_stopped),
    Fault("the daemon is killed", strikes.daemon_killed, nginx=_NO_DAEMON, alone=True),
    Fault("the bases are killed", strikes.bases_killed, warning=_NO_BASE, alone=True),
    Fault("the bases hang", strikes.bases_stopped, warning=_NO_BASE, alone=True),
    Fault("a shared virtualenv is upgraded", strikes.virtualenv_upgraded),
    Fault(
        "the daemon is told to reload",
        strikes.daemon_hung_up,
        # nginx asks the next daemon again for what the old one held.
        nginx="prematurely closed connection .*activate.sock",
    ),
    Fault(
        "a worker of nginx is killed",
        strikes.nginx_worker_killed,
        _UNANSWERED,
        nginx="exited on signal 9|shared memory zone|aborting",
    ),
    Fault(
        "the disk for logs is full", strikes.log_disk_full, warning="cannot open the log .*No space"
    ),
    Fault("the disk for logs hangs", strikes.log_disk_frozen, alone=True),
    Fault("the logs are removed", strikes.log_folder_gone),
    Fault(
        "the disk for state is full",
        strikes.run_disk_full,
        # An app that boots meanwhile has no copy of its ini to read.
        _REFUSED,
        "cannot copy .*No space left",
    ),
    Fault(
        "there is no room for sockets",
        strikes.no_room_for_sockets,
        warning="No space left on device|could not be bound again",
    ),
    Fault(
        "no descriptor is left",
        strikes.descriptors_used_up,
        _REFUSED,
        # An app that fails meanwhile cannot have a new socket.
        "Too many open files|limit on open files|could not be bound again",
    ),
    # uWSGI counts how long a worker may take to end by the wall clock.
    Fault("the clock jumps", strikes.clock_jumps, _CUT_OFF, nginx=_APP_DIED),
    Fault("all inis are touched", strikes.inis_touched),
    Fault(
        "inis are broken for a while",
        strikes.inis_broken,
        _REFUSED,
        # uWSGI reads the file as it is now, where an app happens to boot meanwhile.
        r"\.ini: line 1|the app could not be loaded \(exit status 22\)|cannot load the app: ",
    ),
    Fault(
        "inis are away for a while",
        strikes.inis_gone,
        _REFUSED | _UNKNOWN,
        r"\.ini failed: No such file",  # uWSGI was about to read it
    ),
    Fault(
        "inis come and go by the hundred",
        strikes.hundreds_come_and_go,
        warning=r"guest-\d+\.example\.ini: line 1",
    ),
    Fault(
        "the folder of inis is away for a while",
        strikes.vassals_folder_gone,
        _REFUSED,
        "is gone: its vassals|cannot enter|cannot read .*vassals",
        alone=True,
    ),
    Fault("inotify overflows", strikes.inotify_overflows),
    Fault("sockets are unlinked", strikes.sockets_unlinked, _REFUSED, _TAKEN),
    Fault("folders of sockets are removed", strikes.socket_folders_gone, _REFUSED, _TAKEN),
)
