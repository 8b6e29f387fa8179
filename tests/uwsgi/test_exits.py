"""The telling line of what a uWSGI printed before it died."""

import pytest

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
    ("how", "printed", "told"),
    [
        ("exit status 22", IMPORT,
         "the app could not be loaded (exit status 22): ModuleNotFoundError: No module named "
         "'flask'"),
        ("exit status 1", "[strict-mode] unknown config directive: bogus\n",
         "uWSGI gave up (exit status 1): [strict-mode] unknown config directive: bogus"),
        ("exit status 1", "chdir(): No such file or directory [core/uwsgi.c line 2615]\n",
         "uWSGI gave up (exit status 1): chdir(): No such file or directory [core/uwsgi.c line "
         "2615]"),
        ("exit status 22", IMPROPER,
         "the app could not be loaded (exit status 22): "
         "django.core.exceptions.ImproperlyConfigured: no SECRET_KEY"),
        ("killed by SIGKILL", "", "killed by SIGKILL"),
        ("killed by SIGSEGV", "nothing that tells\n", "killed by SIGSEGV"),
        ("exit status 0", IMPORT, "exit status 0"),
        ("exit status 1", "error: " + "x" * 1000, "uWSGI gave up (exit status 1): error: "
         + "x" * 193),
    ],
)  # fmt: skip
def test_the_last_exception_tells_most_and_then_the_last_complaint(
    how: str, printed: str, told: str
) -> None:
    assert explain_exit(how, printed) == told
