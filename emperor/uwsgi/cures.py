"""What cures an error of the kernel or an exception of Python, and what a signal means."""

from collections.abc import Mapping

# The cures for an `error` of the kernel, by its text (strerror(3)).
CURES: Mapping[str, str] = {
    "No such file or directory": "create it, or correct the path",
    "Permission denied": "let the app's user in: each folder of the path counts",
    "Operation not permitted": "only root may do that; drop the option, or have root own the ini",
    "Not a directory": "a part of the path is no folder; correct it",
    "Is a directory": "name a file, not a folder",
    "File exists": "something else has that path; remove it, or choose another",
    "No space left on device": "free space on that disk",
    "Disk quota exceeded": "free space, or raise the user's quota",
    "Read-only file system": "choose a path on a file system that can be written",
    "Too many open files": "raise LimitNOFILE= of emperord's unit",
    "Cannot allocate memory": "raise limit-as or MemoryMax=, or have uWSGI allocate less",
    "Resource temporarily unavailable": "raise TasksMax= of the unit or limit-nproc of the ini",
    "Invalid argument": "correct the option that asks for this",
    "Exec format error": "it is no program for this machine",
}
ANY_ERROR = "correct the option that asks for this"

# The cures for exceptions while Python loads the app, by the name of the class.
EXCEPTIONS: Mapping[str, str] = {
    "ModuleNotFoundError": "install it{where}, or correct virtualenv, pythonpath, chdir or module",
    "ImportError": "is what is installed{where} of the right version?",
    "SyntaxError": "mend that line; this is {python}",
    "IndentationError": "mend that line",
    "TabError": "mend that line",
    "MemoryError": "raise limit-as or MemoryMax=, or have the app need less",
    "FileNotFoundError": "create it, or correct the path",
    "PermissionError": "let the app's user in: each folder of the path counts",
    "SystemExit": "the app ends itself there",
    "ConnectionRefusedError": "start the server that it connects to, or correct the address",
    "TimeoutError": "does the server that it waits for answer?",
    "OperationalError": "is its database there, and may the app's user use it?",
    "EOFError": "it asks for input, and gets none: write the answer into its settings",
}
# The cure for modules that need each other while they are loaded, and the words of the exception.
CIRCULAR, IN_A_CIRCLE = (
    "two modules import each other; import one of them later",
    "partially initialized module",
)
# The cure for a module that is missing in a virtual environment of another Python.
OTHER_PYTHON = "make it anew by python{python} -m venv, as its user"
# Errors of the kernel whose cure above holds for an exception too.
OF_EXCEPTIONS = (
    "No space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Too many open files",
)
ANY_EXCEPTION = "mend that; its log has the traceback"

# What a signal means that no stop of emperord sent.
SIGNALS: Mapping[str, str] = {
    "SIGKILL": "by the kernel for lack of memory (journalctl -k tells), or by hand",
    "SIGSEGV": "a segmentation fault in compiled code, of the app or of a module that it loads",
    "SIGBUS": "memory that is not there, as of a file that was cut short or a full disk",
    "SIGILL": "compiled code for another processor",
    "SIGFPE": "a floating point exception in compiled code",
    "SIGABRT": "compiled code that gave up by abort()",
    "SIGXCPU": "its limit on CPU time (RLIMIT_CPU)",
    "SIGXFSZ": "its limit on the size of files (RLIMIT_FSIZE)",
    "SIGSYS": "a system call that a filter forbids (SystemCallFilter=)",
    "SIGALRM": "a timer that the app has set itself (alarm, setitimer)",
    "SIGPIPE": "it wrote to a pipe or socket that nobody reads",
    "SIGTRAP": "a breakpoint, or an assertion of compiled code",
    "SIGTERM": "by another process, or by hand",
    "SIGINT": "by another process, or by hand",
    "SIGQUIT": "by another process, or by hand",
    "SIGHUP": "by another process, or by hand",
}
