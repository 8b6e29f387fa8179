"""Looks at the sources that an app is loaded from, and at what else uWSGI imports, without running
them.

This is a program of its own. `emperorctl check` runs its text by a Python of the app's version, as
the user of the app, and it prints what it found.

Its argument is JSON: `path`, the folders of modules, and `loads`, all that uWSGI loads, in its
order. Each has a `file`, a `module` or the `code` itself, the `callable` that must be in it, the
number of `arguments` that it is called with, the module `loader` that loads it, and the module
`loop` that runs it; most of these are empty. Python may have its own site-packages too, with the
finders that their .pth files add.

It prints one line of JSON for each that cannot be loaded: its `number`, what is wrong (`problem`),
the `source` that was looked at, a `line` of that, and the `name` that is missing.
"""

import ast
import glob
import json
import os
import select
import socket
import sys
from importlib.machinery import PathFinder
from importlib.util import cache_from_source
from typing import Any

# The name that uWSGI itself provides. `uwsgidecorators` is a file beside it, in its own Python.
_OF_UWSGI = ("uwsgi",)
# With these a source may find modules, or bind names, that nobody sees without running it.
_OPAQUE_PATH = ("sys.path", "addsitedir", "activate_this", "__path__", "sys.modules")
_OPAQUE_NAMES = ("globals()", "exec(", "__getattr__", "setattr(", "vars()")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LONGEST_SOURCE = 1 << 20
_HTTP = "http://"
_HTTP_PORT = "80"
_ANSWER_SECONDS = 3
_MOST_SOURCES = 200
# In these folders are packages that were installed, which do not change where modules are found.
_INSTALLED = ("/site-packages/", "/dist-packages/")


class Modules:
    """Where modules are: the folders, and whether a source may have made more modules findable."""

    def __init__(self, path: "list[str]") -> None:
        self.path = path
        self.is_open = has_path_files(path)

    def lack(self, name: str) -> bool:
        """Whether there is certainly no module of that name, without a dot."""
        return not self.is_open and not exists(name, self.path)

    def note(self, name: str) -> None:
        """A module of that name is imported."""
        self.is_open = self.is_open or changes_path(name, self.path, set())


def main() -> None:
    """The program."""
    asked = json.loads(sys.argv[1])
    path = [found for place in asked["path"] for found in (glob.glob(place) or [place])]
    path += [place for place in sys.path if place]
    modules = Modules(path)
    for number, load in enumerate(asked["loads"]):
        loader, module = load["loader"], load["module"]
        modules.note(module.rpartition(".")[0])
        source = load["file"] or load["code"] or loader or source_of(module, path)
        text = load["code"].encode() or read(source or "")
        if text is None and load["file"].startswith(_HTTP):
            tell(number, "no-answer", load["file"])
        elif loader or source is None:
            missing = loader or module
            if not modules.is_open and source_of(missing, path) is None:
                tell(number, "no-loader" if loader else "no-module", missing)
        elif load["loop"] and modules.lack(load["loop"]):
            tell(number, "no-loop", load["loop"])
        elif text is None:
            # A missing file is told by its path. Python needs no source that it has compiled.
            if module and os.path.exists(source) and not os.path.exists(cache_from_source(source)):
                tell(number, "no-read", "", source)
        else:
            shown = "" if load["code"] else source
            look_at(number, text, shown, load, modules)
        if source is not None:
            # A file that cannot be read, and so cannot be loaded, changes nothing.
            opened = not load["file"] if text is None else opens(text, source, path, set())
            modules.is_open = modules.is_open or opened


def source_of(module: str, path: "list[str]") -> "str | None":
    """The source of a module; None where there is no such module, empty where it has no source."""
    spec, places = None, path
    for number in range(module.count(".") + 1):
        name = ".".join(module.split(".")[: number + 1])
        spec = PathFinder.find_spec(name, places)
        if spec is None:
            return "" if exists(module.partition(".")[0], []) else None
        places = list(spec.submodule_search_locations or [])
    origin = (spec and spec.origin) or ""
    return origin if origin.endswith(".py") else ""


def exists(name: str, path: "list[str]") -> bool:
    """Whether a module of that name, without a dot, can be found."""
    if name in _OF_UWSGI or PathFinder.find_spec(name, path + sys.path) is not None:
        return True
    return any(finder.find_spec(name, None) for finder in sys.meta_path)


def read(source: str) -> "bytes | None":
    """The text of a source; None for one that cannot be read."""
    if source.startswith(_HTTP):
        return fetched(source)
    try:
        with open(os.open(source, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            return file.read(_LONGEST_SOURCE)
    except (OSError, ValueError):
        return None


def fetched(url: str) -> "bytes | None":
    """The text that a server answers, as uWSGI gets it: it does not wait for a connection, so only
    this machine can answer, and it takes each status of 2xx."""
    address, slash, path = url[len(_HTTP) :].partition("/")
    host, _, port = address.partition(":")
    try:
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.connect_ex((host, int(port or _HTTP_PORT)))
            _, connected, _ = select.select([], [connection], [], 0)
            if not slash or not connected:
                return None
            connection.settimeout(_ANSWER_SECONDS)
            connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                head, _, body = answer.read(_LONGEST_SOURCE).partition(b"\r\n\r\n")
    except (OSError, ValueError):
        return None
    return body if head[9:10] == b"2" else None


def opens(text: bytes, source: str, path: "list[str]", seen: "set[str]") -> bool:
    """Whether a source, or one that it imports, may make more modules findable."""
    words = text.decode("utf-8", "replace")
    if any(word in words for word in _OPAQUE_PATH) or len(seen) > _MOST_SOURCES:
        return True
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return any(changes_path(name, path, seen) for name, _ in imports(tree)) or any(
        source_opens(file, path, seen) for file in beside(tree, source) if os.path.isfile(file)
    )


def changes_path(name: str, path: "list[str]", seen: "set[str]") -> bool:
    """Whether a module that is imported, or a package that it is in, may do so."""
    parts = name.split(".") if name else []
    names = [".".join(parts[: number + 1]) for number in range(len(parts))]
    return any(source_opens(source_of(each, path) or "", path, seen) for each in names)


def source_opens(source: str, path: "list[str]", seen: "set[str]") -> bool:
    """Whether the source of a module may do so. What is installed does not."""
    standard = os.path.dirname(os.__file__) + "/"
    is_installed = source.startswith(standard) or any(part in source for part in _INSTALLED)
    if not source or source in seen or is_installed:
        return False
    seen.add(source)
    text = read(source)
    return text is None or opens(text, source, path, seen)


def look_at(
    number: int, text: bytes, source: str, load: "dict[str, Any]", modules: Modules
) -> None:
    """Tell the first problem of the text of a source."""
    application = load["callable"]
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        tell(number, "syntax", "", source, getattr(error, "lineno", 0) or 0)
        return
    words = text.decode("utf-8", "replace")
    if not any(word in words for word in _OPAQUE_PATH):
        for name, line in imports(tree):
            top = name.partition(".")[0]
            modules.note(name)
            if modules.lack(top):
                tell(number, "no-import", top, source, line)
                return
    is_plain = not any(word in words for word in _OPAQUE_NAMES)
    if not application or not is_plain:
        return
    if not binds(tree, application):
        tell(number, "no-callable", application, source)
    elif load["arguments"] is None:
        return
    elif (made := only_function(tree, application)) and not takes(made, load["arguments"]):
        tell(number, "no-call", application, source, made.lineno)


def only_function(tree: ast.Module, name: str) -> "ast.FunctionDef | ast.AsyncFunctionDef | None":
    """The function of that name, where nothing else can have the name."""
    found = [node for node in tree.body if isinstance(node, _FUNCTIONS) and node.name == name]
    if len(found) != 1 or found[0].decorator_list:
        return None
    others = [node for node in ast.walk(tree) if node is not found[0]]
    return None if any(binds_here(node, name) for node in others) else found[0]


def takes(function: "ast.FunctionDef | ast.AsyncFunctionDef", count: int) -> bool:
    """Whether it can be called with so many arguments, and answers at once."""
    given = function.args
    most = len(given.posonlyargs) + len(given.args)
    least = most - len(given.defaults)
    needs_names = any(default is None for default in given.kw_defaults)
    fits = least <= count and (given.vararg is not None or count <= most) and not needs_names
    return fits and isinstance(function, ast.FunctionDef)


def imports(tree: ast.Module) -> "list[tuple[str, int]]":
    """The modules that the source imports whenever it runs, and the lines."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.module, node.lineno))
    return found


def beside(tree: ast.Module, source: str) -> "list[str]":
    """Where the sources may be that the source imports relative to itself."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = os.path.join(source, *[".."] * node.level)
            names = [node.module] if node.module else [alias.name for alias in node.names]
            places = [os.path.normpath(f"{folder}/{name.replace('.', '/')}") for name in names]
            found += [f"{place}{end}" for place in places for end in (".py", "/__init__.py")]
    return found


def binds(tree: ast.Module, name: str) -> bool:
    """Whether the source binds a name anywhere, or might do so by `from x import *`."""
    return any(binds_here(node, name) for node in ast.walk(tree))


def binds_here(node: ast.AST, name: str) -> bool:
    """Whether one node binds the name."""
    names: list[str] = []
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        names = [node.id]
    elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        names = [node.name]
    elif isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    return name in names or "*" in names


def has_path_files(path: "list[str]") -> bool:
    """Whether a folder has a .pth file that this Python has not read, which may add folders and
    finders of modules."""
    unknown = [place for place in path if sys.flags.no_site or place not in sys.path]
    found = [file for place in unknown for file in glob.glob(glob.escape(place) + "/*.pth")]
    return any(not file.endswith("/distutils-precedence.pth") for file in found)


def tell(number: int, code: str, name: str, source: str = "", line: int = 0) -> None:
    """Print one problem."""
    found = {"number": number, "code": code, "name": name, "source": source, "line": line}
    print(json.dumps(found))


main()
