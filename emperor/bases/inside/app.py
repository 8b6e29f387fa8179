"""How a spare becomes the app of an order."""

import os
import signal
from contextlib import suppress
from typing import NoReturn

from emperor.bases.inside.after_ini import after_ini
from emperor.bases.inside.host import Host, Unfit
from emperor.bases.inside.place import take_place, take_user
from emperor.bases.inside.python import forget_the_base, ignore_signals, maker_of, set_up_python
from emperor.bases.inside.store import Store
from emperor.bases.order import Order

_REPORT_BYTES = 512

# uWSGI runs this file in each app, before all else of the app.
_FORKED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "forked.py")


def become_app(order: Order, fds: list[int], channel: int, host: Host, store: Store) -> NoReturn:
    """Be uWSGI for that app, as a module of this process, or else as a program."""
    place, app = order.place, order.app
    assert app is not None
    reports, groups = take_place(place, fds, channel)
    command = [app.binary, *app.arguments]
    host.rename(os.path.basename(app.binary), command, place.environment)
    take_user(place.user, groups, place.no_new_privs)
    try:
        is_set_up = place.home == host.home
        if is_set_up and not host.is_fresh():
            raise Unfit(f"packages in {place.home} have changed")
        maker = "" if is_set_up else maker_of(place.home)
        host.become(command, place.environment)
    except Unfit as unfit:
        with suppress(OSError):  # nobody listens
            os.write(reports, str(unfit).encode()[:_REPORT_BYTES])
        _execute(command, place.environment)
    # From here on there is code of the tenant's.
    os.close(reports)
    forget_the_base()
    ignore_signals()
    if not is_set_up:
        set_up_python(place.home, maker)
    store.forked = after_ini
    # At a reload it must be the program, and not Python.
    host.run(["--binary-path", app.binary, "--set", f"shared-import={_FORKED}", *app.arguments])


def _execute(command: list[str], environment: dict[str, str]) -> NoReturn:
    """Become another program."""
    # Python ignores them, and what is ignored stays ignored.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(command[0], command, environment)
