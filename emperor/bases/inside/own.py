"""How a spare becomes a base of its own: for one virtual environment, as the user of its apps.

Nothing of a virtual environment is imported as another user.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress

from emperor.bases.inside.effects import Effects
from emperor.bases.inside.host import Host, Unfit
from emperor.bases.inside.place import take_place, take_user
from emperor.bases.inside.preload import preload
from emperor.bases.inside.python import forget_the_base, ignore_signals, maker_of, set_up_python
from emperor.bases.inside.search import changed
from emperor.bases.inside.store import Store
from emperor.bases.inside.trial import unfit_modules
from emperor.bases.order import Imported, Order

NAME = "emperord-base"
# What each line of a .pth file may do.
_BY_SITE = ("changes how modules are found", "changes what is built in")
_MOST_TOLD = 500
_PACKAGES = ("/site-packages", "/dist-packages")


def title() -> str:
    """What ps(1) shows of any base."""
    return f"{NAME}: Python {sys.version_info[0]}.{sys.version_info[1]}"


def become_base(order: Order, fds: list[int], channel: int, host: Host, store: Store) -> Imported:
    """Take the place, and import. The rest is that of any base."""
    place, modules = order.place, order.modules
    channel, groups = take_place(place, fds, channel)
    os.close(channel)
    host.rename(NAME, [f"{title()} of {place.home}"], place.environment)
    take_user(place.user, groups, place.no_new_privs)
    try:
        maker = maker_of(place.home)
    except Unfit as unfit:
        return Imported((), {}, str(unfit))
    os.environ.clear()
    os.environ.update(place.environment)
    forget_the_base()
    ignore_signals()
    effects = Effects()
    before = effects.state()
    set_up_python(place.home, maker)
    if done := effects.since(before, but=_BY_SITE):
        return Imported((), {}, f"what .pth files run {done}")
    host.home = place.home
    host.is_fresh = _freshness(place.home)
    loaded = frozenset(sys.modules)
    store.needs.begin(lambda: warnings.filters)
    left_out = unfit_modules(modules, store.needs)
    begun = time.time_ns()
    store.reads.begin()
    store.exits.begin()
    # Each app gets the filters of what it imports. (The module is kept, and not loaded.)
    with warnings.catch_warnings(module=warnings):
        left_out |= preload([name for name in modules if name not in left_out])
        store.needs.end()
    store.exits.end()
    store.reads.end()
    store.put_away(loaded, begun)
    return Imported(store.names, dict([*left_out.items()][:_MOST_TOLD]))


def _freshness(home: str) -> Callable[[], bool]:
    """Asks whether no package was installed or removed since now."""
    folders = [path for path in sys.path if path.endswith(_PACKAGES)]

    def versions() -> list[object]:
        files = [f"{home}/pyvenv.cfg", *folders]
        for folder in folders:
            with suppress(OSError):
                files += [f"{folder}/{name}" for name in sorted(os.listdir(folder))
                          if name.endswith(".pth")]  # fmt: skip
        return [(path, *changed(path)) for path in files]

    then = versions()
    return lambda: versions() == then
