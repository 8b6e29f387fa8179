"""The line of the output of a uWSGI that explains its exit."""

import pytest

from emperor.model.ports import Exit
from emperor.uwsgi.exits import explain_exit

IMPORT = """\
*** Operational MODE: single process ***
Traceback (most recent call last):
  File "/srv/app.py", line 3, in <module>
    import flask
ModuleNotFoundError: No module named 'flask'
unable to load app 0 (mountpoint='') (callable not found or import error)
*** no app loaded. GAME OVER ***
"""


IMPROPER = """\
Traceback (most recent call last):
  File "/srv/app.py", line 3, in <module>
django.core.exceptions.ImproperlyConfigured: no SECRET_KEY
"""


@pytest.mark.parametrize(
    ("ended", "printed", "expected"),
    [
        (Exit(code=22), IMPORT,
         "the app could not be loaded (exit status 22): ModuleNotFoundError: No module named "
         "'flask'"),
        (Exit(code=1), "[strict-mode] unknown config directive: bogus\n",
         "uWSGI gave up (exit status 1): [strict-mode] unknown config directive: bogus"),
        (Exit(code=1), "chdir(): No such file or directory [core/uwsgi.c line 2615]\n",
         "uWSGI gave up (exit status 1): chdir(): No such file or directory [core/uwsgi.c line "
         "2615]"),
        (Exit(code=22), IMPROPER,
         "the app could not be loaded (exit status 22): "
         "django.core.exceptions.ImproperlyConfigured: no SECRET_KEY"),
        (Exit(signal="SIGKILL"), "", "killed by SIGKILL"),
        (Exit(signal="SIGSEGV"), "nothing that tells\n", "killed by SIGSEGV"),
        (Exit(code=0), IMPORT, "exit status 0"),
        (Exit(code=1), "error: " + "x" * 1000, "uWSGI gave up (exit status 1): error: "
         + "x" * 193),
    ],
)  # fmt: skip
def test_the_last_exception_explains_more_than_a_complaint(
    ended: Exit, printed: str, expected: str
) -> None:
    assert explain_exit(ended, printed) == expected
