"""A base: a process that has imported modules, and from which apps are forked that need not import
them again.

emperord runs this file as a program, with the Python that its uWSGI was built for, and never
imports it. At each byte on its control socket it forks a spare process, which says hello on a
socket of its own, by which the kernel tells emperord its pid. The spare waits there for an order,
and then becomes the app: it takes the descriptors, the user and the environment of the app, sets up
Python as uWSGI does at its start, and calls uWSGI (the module pyuwsgi). What it finds it cannot do
is left to the program uwsgi, which it runs in its place.

A spare is forked twice, so that it is a child of emperord, which reaps orphans. A base has one
thread, and no descriptor but its socket. Python runs here without `site`, which runs code of the
administrator's or of a tenant's: that belongs into the app, as its user.
"""

import sys


def main() -> None:
    """Import, and fork spares until emperord closes its end."""
    loaded_by_python = frozenset(sys.modules)
    # The folder of the package emperor, behind those of the standard library.
    sys.path[:] = [*sys.path[1:], __file__.rsplit("/", 3)[0]]
    from emperor.bases.inside.needs import Needs  # noqa: PLC0415

    needs = Needs()
    needs.begin()
    from emperor.bases.inside.forking import run  # noqa: PLC0415

    run(loaded_by_python, needs)


if __name__ == "__main__":
    main()
