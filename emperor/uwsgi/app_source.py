"""Looks at the source of an app without running it.

This is a program of its own. `emperorctl check` runs its text by a Python of the app's version, as
the user of the app, and it prints what it found.

Its argument is JSON: `file`, `module` or `code` of the app, its `callable`, the module `loader`
that loads it, the module `loop` that runs it, and `path`, the folders of modules. Python may have
its own site-packages too, with the finders that their .pth files add. It prints JSON: what is wrong
(`problem`), the source that it looked at, a `line` of that, and the `name` that is missing.
"""

import ast
import glob
import json
import os
import sys
from importlib.machinery import PathFinder

# The name that uWSGI itself provides. `uwsgidecorators` is a file beside it, in its own Python.
_OF_UWSGI = ("uwsgi",)
# With these a source may find modules, or bind names, that nobody sees without running it.
_OPAQUE_PATH = ("sys.path", "addsitedir", "activate_this", "__path__")
_OPAQUE_NAMES = ("globals()", "exec(", "__getattr__", "setattr(", "vars()")


def main() -> None:
    """The program."""
    asked = json.loads(sys.argv[1])
    path = [found for place in asked["path"] for found in (glob.glob(place) or [place])]
    path += [place for place in sys.path if place]
    loader = asked["loader"]
    module = asked["module"]
    source = asked["file"] or asked["code"] or loader or source_of(module, path)
    if loader:
        if not has_path_files(path) and source_of(loader, path) is None:
            tell("no-loader", loader)
    elif source is None:
        tell("no-module", asked["module"])
    elif asked["loop"] and not has_path_files(path) and not exists(asked["loop"], path):
        tell("no-loop", asked["loop"])
    elif asked["code"]:
        look_at(asked["code"].encode(), "", asked["callable"], path)
    elif source:
        look(source, asked["callable"], path)


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


def look(source: str, application: str, path: "list[str]") -> None:
    """Tell the first problem of the source."""
    try:
        with open(os.open(source, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            text = file.read(1 << 20)
    except OSError:
        return
    look_at(text, source, application, path)


def look_at(text: bytes, source: str, application: str, path: "list[str]") -> None:
    """Tell the first problem of the text of a source."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        tell("syntax", "", source, getattr(error, "lineno", 0) or 0)
        return
    words = text.decode("utf-8", "replace")
    if not any(word in words for word in _OPAQUE_PATH) and not has_path_files(path):
        for name, line in imports(tree):
            if not exists(name, path):
                tell("no-import", name, source, line)
                return
    is_plain = not any(word in words for word in _OPAQUE_NAMES)
    if application and is_plain and not binds(tree, application):
        tell("no-callable", application, source)


def imports(tree: ast.Module) -> "list[tuple[str, int]]":
    """The modules that the source imports whenever it runs, and the lines."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [(alias.name.partition(".")[0], node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append((node.module.partition(".")[0], node.lineno))
    return found


def binds(tree: ast.Module, name: str) -> bool:
    """Whether the source binds a name anywhere, or might do so by `from x import *`."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names = [node.id]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        if name in names or "*" in names:
            return True
    return False


def has_path_files(path: "list[str]") -> bool:
    """Whether a folder has a .pth file that this Python has not read, which may add folders and
    finders of modules."""
    unknown = [place for place in path if sys.flags.no_site or place not in sys.path]
    found = [file for place in unknown for file in glob.glob(glob.escape(place) + "/*.pth")]
    return any(not file.endswith("/distutils-precedence.pth") for file in found)


def tell(problem: str, name: str, source: str = "", line: int = 0) -> None:
    """Print one problem."""
    print(json.dumps({"problem": problem, "name": name, "source": source, "line": line}))


main()
