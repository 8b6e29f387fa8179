"""Runs in the Python of an app before the app is imported (by inside.py).

An app without `chdir` stays in the folder of inis. Python looks for each module there first, and
lists the folder for that, once for each of the two entries of sys.path that mean it: 12 to 16 ms
with 10,000 inis. The finders that take their place here look for the file names of the module, and
list the folder only if one of them is there. So a module beside the inis is found as before.

It also tells the log of a virtual environment that was made for another Python. Python itself says
only that a module is missing. (emperor/uwsgi/exits.py)

emperord does not import this file. It must work in every Python 3.5 or later that uWSGI is built
with. If it fails, or cannot be read as in a chroot, uWSGI goes on without it. It imports only what
Python has loaded already: any other module would be looked for in the folder.
"""

import os
import sys
from _frozen_importlib_external import FileFinder
from _imp import extension_suffixes

import uwsgi  # type: ignore[import-untyped]

MYPY = False  # typing is not loaded yet
if MYPY:
    from collections.abc import Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_SUFFIXES = ("", ".py", ".pyc", *extension_suffixes())


class GlancingFinder(FileFinder):
    """Finds what FileFinder finds, and does not list a folder that lacks the module."""

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> "ModuleSpec | None":
        """The spec of a module, or None where the folder has no file of that name."""
        path = self.path + "/" + fullname.rpartition(".")[2]
        for suffix in _SUFFIXES:
            if os.access(path + suffix, os.F_OK):
                return super().find_spec(fullname, target)
        return None


def glance_at(folder: str) -> None:
    """Have Python use such a finder for `folder`, an entry of sys.path."""
    for hook in sys.path_hooks:
        try:
            finder = hook(folder)
        except ImportError:
            continue
        if type(finder) is FileFinder:
            finder.__class__ = GlancingFinder
            sys.path_importer_cache[folder] = finder
        return


if os.getcwdb() == uwsgi.magic_table[b"v"]:
    # The finder of an empty entry in sys.path is kept by the name of the folder.
    glance_at(os.getcwd())
    glance_at(".")


def made_for(home: str) -> str:
    """The version of Python that a virtual environment has a library for."""
    try:
        names = os.listdir(home + "/lib")
    except OSError:
        return OURS
    versions = [name[len("python") :] for name in names if name.startswith("python")]
    return OURS if OURS in versions else min(versions, default=OURS)


OURS = "{}.{}".format(*sys.version_info)
if sys.prefix != sys.base_prefix and made_for(sys.prefix) != OURS:
    text = "[emperor] {} is a virtualenv of Python {}, and this is {}\n"
    sys.stderr.write(text.format(sys.prefix, made_for(sys.prefix), OURS))


def tell_files(fd: int) -> None:
    """Write the names of the files that this Python has read, which emperord has read ahead at the
    next start (emperor/uwsgi/boot_files.py)."""
    names = {}  # keeps the order
    with open("/proc/self/maps") as maps:
        for line in maps:
            names[line[line.find("/") :].rstrip("\n") if "/" in line else ""] = True
    for module in list(sys.modules.values()):
        spec = getattr(module, "__spec__", None)
        names[getattr(spec, "cached", None) or getattr(spec, "origin", None) or ""] = True
    text = "\n".join([*(name for name in names if name[:1] == "/"), *module_names()])
    os.write(fd, os.fsencode(text)[: os.fstat(fd).st_size])
    os.close(fd)


def packages_of_options() -> "Iterator[str]":
    """The packages of what the ini loads as the app."""
    for option in ("module", "wsgi", "file", "wsgi-file", "mount"):
        values = uwsgi.opt.get(option, [])
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, bytes):
                text = os.fsdecode(value)
                yield package_of(text.partition("=")[2] if option == "mount" else text)


def package_of(app: str) -> str:
    """The package of an app, which is a module or a file, perhaps with the name of a callable. A
    file may be one of a package that is installed."""
    name = app.partition(":")[0]
    if "/" in name or name.endswith(".py"):
        path = os.path.abspath(name)
        above = [entry for entry in sys.path if entry and path.startswith(entry + "/")]
        name = path[len(max(above, key=len, default="")) :].lstrip("/").partition("/")[0]
    return name.partition(".")[0]


def module_names() -> "Iterator[str]":
    """The modules that other apps may import, too: those of the standard library and of the virtual
    environment, each after a "=". The package of the app itself is not among them."""
    packages = {package_of(os.environ.get("DJANGO_SETTINGS_MODULE", "")), *packages_of_options()}
    folders = (os.path.dirname(os.__file__) + "/", sys.prefix + "/lib/")
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None) or ""
        is_named = getattr(spec, "name", None) == name and name.partition(".")[0] not in packages
        if is_named and origin.startswith(folders):
            yield "=" + name


def after_first_answer(fd: int) -> None:
    """Have the first worker tell the files of the app, once it has answered a request: nobody waits
    for that. uWSGI calls the hook after each request."""
    os.set_inheritable(fd, False)
    memory = os.fstat(fd)
    untold = [True]

    def hook() -> None:
        if untold and uwsgi.worker_id() == 1:
            untold.clear()
            try:
                # The app may have closed it, and opened something else.
                if os.path.samestat(os.fstat(fd), memory):
                    tell_files(fd)
            except Exception as error:
                sys.stderr.write(f"[emperor] cannot tell the files of the app: {error}\n")

    uwsgi.after_req_hook = hook


if "EMPERORD_FILES_FD" in os.environ:
    after_first_answer(int(os.environ.pop("EMPERORD_FILES_FD")))
