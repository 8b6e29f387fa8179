"""Writes settings.md and the emperord.ini of a new installation, from the table of settings."""

from emperor.model.settings import KEYS, Key

_PAGE = """\
# Settings

<!-- Written by `make docs` from emperor/model/settings.py; do not edit. -->

The file is `/etc/uwsgi/emperord.ini`, section `[emperord]`; `--config FILE` names another file.
Each key is also a flag of `emperord` (`--vassals-dir DIR`), and the flag wins. emperord(8) says
more about each key.

A duration is written as `26h`, `1h30m`, `90s` or `500ms`, or as a number of seconds. `idle` is in
whole seconds. Every other duration but `history-max-age` is at most a day.

| key | default | meaning |
|---|---|---|
{rows}

## What a vassal sets for itself

A vassal's ini may have a section `[emperor]`, which uWSGI ignores. These keys override the settings
for this vassal:

| key | meaning |
|---|---|
| idle, start-timeout, stop-timeout | as above |
| activation, on-change, need-app, backlog, repeat | as above |
| bases | as above, and no more than there ([bases.md](bases.md)) |
| byte-compile | as above ([pythons.md](pythons.md#byte-code)) |
| memory-max, memory-high, pids-max, nofile, nice | as above ([limits.md](limits.md)) |
| cpu-weight, cpu-max, io-weight | as above |
| no-new-privs | as above; `false` in an ini of root's alone |
| allow-root | as above, in an ini of root's alone ([security.md](security.md)) |
| uid, gid | user and group of the vassal, set before uWSGI reads the ini |
| python | the name of one of `pythons`, or the version of the default Python |
| python-home | as above, for this vassal |
| uwsgi-binary | a uWSGI program for this vassal, in an ini of root's alone |
| always | `true`: the app runs always, from the start of the daemon on, as with `idle = 0` |
| once | `true`, `soft` or `false`: the app runs on one machine of the fleet ([once.md](once.md)) |
| aliases | further host names of the app, separated by spaces; none that another ini has |

`idle` in `[uwsgi]` is uWSGI's own option: a number of seconds. It wins over `idle` in `[emperor]`.
An ini that says `always = true` and an `idle` other than 0, or `always = false` and `idle = 0`, is
refused. An `idle` in `vassal-defaults` is no contradiction: `always` counts.

An ini may belong to another user than the daemon's. Its vassal then runs as that user. Such an ini
cannot set another `uid` or `gid`, or `aliases`, since its author could take over another site. It
cannot name a `uwsgi-binary`, which `emperorctl check` would run as another user. Its
`start-timeout` and `stop-timeout` can shorten those of the settings but not lengthen them, since a
stop of the daemon waits for every vassal. Its limits can be lower than those of the settings, and a
higher one counts as that of the settings; for `nice`, higher values are lower priorities.

## Defaults for all vassals

`vassal-defaults` names an ini that uWSGI reads before each ini of the folder, for instance:

```ini
[uwsgi]
harakiri = 30
max-requests = 5000
plugins = python3
```

An option of the vassal's ini wins, and options that may stand several times add up. `%n`, `%d` and
the like are those of the file of defaults itself, and relative paths begin in the folder of inis.
A socket has no place there, nor a section `[emperor]`: this file, `emperord.ini`, has the settings
for all vassals. The file belongs to root, and everybody can read it, since uWSGI reads it as the
user of each app.

When the file changes, all inis are read again: apps that run are reloaded as after a change of
their own ini, and apps that sleep start with the new version. A change of a file that it includes
takes effect at the next start of each app. A version that cannot be used is
logged and reloads nothing. Without the file emperord does not start. If the file is removed
later, it counts as empty.

## Which Python an app runs with

An app whose ini names no `home`, `virtualenv`, `venv` or `pyhome` sees what the system's Python
sees, on Debian that of `/usr/bin/python3`: its packages and no package of emperord. `python-home`
names another home or virtualenv for all of these apps, or in `[emperor]` for one. The variables
`PYTHONHOME`, `PYTHONPATH` and `VIRTUAL_ENV` of the daemon do not reach an app. An ini sets its own
by `env = PYTHONPATH=...`. An app that imports `uwsgidecorators` needs it where its other packages
are; Debian has it as `python3-uwsgidecorators`. [pythons.md](pythons.md) has examples.

A virtualenv must be of the Python that its uWSGI was built for. For another Python, build a uWSGI
with it, and list it in `/etc/uwsgi/emperord.ini`:

```
/opt/python3.12/bin/python3 -m venv /opt/uwsgi-3.12
/opt/uwsgi-3.12/bin/pip install uwsgi
```

```ini
[emperord]
pythons = 3.12:/opt/uwsgi-3.12/bin/uwsgi
```

Any ini may then choose it by `python = 3.12` in `[emperor]`. Its apps see the packages of
`/opt/uwsgi-3.12` until they name a virtualenv. A `uwsgi-binary` that is not emperord's own chooses
its Python by itself too.
"""


# Other than the defaults: what an administrator of a new machine would want.
_INSTALLED = {"allow-root": "false"}
_CONFIG = """\
; /etc/uwsgi/emperord.ini: the settings of emperord. Each key with a ; is shown with its default.
; After a change, run `systemctl reload emperord`. emperord(8) says more about each key.
; A duration is written as 26h, 1h30m, 90s or 500ms, or as a number of seconds.

[emperord]
{keys}
"""


def settings() -> str:
    """The whole of settings.md."""
    rows = (f"| {key.name} | {f'`{key.default}`' if key.default else '-'} | {key.help} |"
            for key in KEYS)  # fmt: skip
    return _PAGE.format(rows="\n".join(rows))


def config() -> str:
    """The whole of emperord.ini, as it is installed: nearly every key as a comment."""
    keys = (f"\n; {key.help}\n{_line(key)}" for key in KEYS)
    return _CONFIG.format(keys="\n".join(keys))


def _line(key: Key) -> str:
    if key.name in _INSTALLED:
        return f"{key.name} = {_INSTALLED[key.name]}"
    return f";{key.name} = {key.default}".rstrip()
