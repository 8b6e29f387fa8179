"""Writes docs/from-uwsgi.md from the table in emperor/uwsgi/emperor_options.py."""

from docs.folding import folded_item
from emperor.uwsgi.emperor_options import EMPEROR_OPTIONS, Support

_PAGE = """\
# From uWSGI's Emperor

<!-- Written by `make docs` from emperor/uwsgi/emperor_options.py; do not edit. -->

An administrator who runs uWSGI's Emperor finds here what each of its options is in emperord.
[moving.md](moving.md) moves a server, step by step. Most inis of vassals can stay as they are:
`emperorctl check` reads them, and names what does not work here, the options below among them.

## By another name

These are settings in `/etc/uwsgi/emperord.ini`, or keys of the section `[emperor]` of an ini
([settings.md](settings.md)).

{mapped}

## Always so

{always}

## In the ini of a vassal

{vassal}

## Not here

{none}

## Variables of the environment

The Emperor passes a variable `UWSGI_VASSAL_X` to its vassals as `UWSGI_X`, which sets their option
`x`. Write `x = value` into the file of `vassal-defaults` instead. emperord passes no variable of
its own to a vassal, but `LANG`: [security.md](security.md#what-a-process-of-an-app-may-do) lists
those that an app has. Others are set by `env =` in its ini, or in `vassal-defaults`. The hooks of
the Emperor get `UWSGI_VASSAL_CONFIG`, `UWSGI_VASSAL_PID`, `UWSGI_VASSAL_UID` and
`UWSGI_VASSAL_GID`; `emperorctl status --json` tells the ini and the pid.

## Monitors

The Emperor also reads vassals by a pattern (`glob://`), and from PostgreSQL, MongoDB, AMQP and
ZeroMQ by plugins. emperord reads one folder. A program that moves files into it, or the
`provision-command`, connects it to anything else. The section `[emperor]` of an ini is for
emperord's own keys; the Emperor's attributes of other names are ignored.
"""


def from_uwsgi() -> str:
    """The whole of from-uwsgi.md."""
    items: dict[Support, list[str]] = {support: [] for support in Support}
    for option in EMPEROR_OPTIONS:
        names = ", ".join(f"`{name}`" for name in option.names)
        item = f"- {names}: {option.here}"
        items[option.support].append(folded_item(item))
    texts = {support.name.lower(): "\n".join(lines) for support, lines in items.items()}
    return _PAGE.format(**texts)
