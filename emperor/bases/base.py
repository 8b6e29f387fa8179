"""A base: a process that has imported modules, and from which apps are forked that need not import
them again.

emperord runs this file as a program, with the Python that its uWSGI was built for, and never
imports it. At each byte on its control socket it forks a spare process, which says hello on a
socket of its own, by which the kernel tells emperord its pid. The spare waits there for an order,
and then becomes the app: it takes the descriptors, the user and the environment of the app, sets up
Python as uWSGI does at its start, and calls uWSGI (the module pyuwsgi). What it finds it cannot do
is left to the program uwsgi, which it runs in its place.

A spare is forked twice, so that it is a child of emperord, which reaps orphans. A base has one
thread, and no descriptor but its socket and what libffi needs. Python runs here without `site`,
which runs code of the administrator's or of a tenant's: that belongs into the app, as its user.
"""

import posix
import sys

# The descriptors of apps are below the second number.
_FIRST_FREE, _ABOVE_THOSE_OF_APPS = 4, 256
# An import needs some itself.
_LEFT_FREE = 32


def main() -> None:
    """Import, and fork spares until emperord closes its end."""
    loaded_by_python = frozenset(sys.modules)
    # The folder of the package emperor, behind those of the standard library.
    sys.path[:] = [*sys.path[1:], __file__.rsplit("/", 3)[0]]
    from emperor.bases.inside.needs import Needs  # noqa: PLC0415

    needs = Needs()
    needs.begin()
    _import_ctypes()
    from emperor.bases.inside.forking import run  # noqa: PLC0415

    run(loaded_by_python, needs)


def _import_ctypes() -> None:
    """libffi (3.5 of Debian forky) opens its own file at that import. It maps callbacks from that
    descriptor in all forks. So its number must be one that a fork neither uses nor closes."""
    above = min(_ABOVE_THOSE_OF_APPS, posix.sysconf("SC_OPEN_MAX") - _LEFT_FREE)
    for number in range(_FIRST_FREE, above):
        posix.dup2(0, number, False)
    import ctypes  # noqa: F401, PLC0415

    posix.closerange(_FIRST_FREE, above)


if __name__ == "__main__":
    main()
