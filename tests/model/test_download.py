"""Why nginx does not send a file that an app names."""

import pytest

from emperor.model.download import why_refused

UNLISTED = (
    "it is in no folder that /etc/nginx/emperord/downloads.conf lists for a.example; add a line"
    " that begins with a.example/"
)
FORM = "it is not of the form /PART/FILE; name it so, where downloads.conf lists PART"


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("/protected/a.pdf", f"{UNLISTED}protected"),
        ("/my%20files/2026/a.pdf?x=/", f"{UNLISTED}my files"),
        ("/protected/...", f"{UNLISTED}protected"),
        ("/protected/", "it is a folder; name a file in it"),
        ("/protected/2026%2F", "it is a folder; name a file in it"),
        ("/protected/?x=a.pdf", "it is a folder; name a file in it"),
        ("/protected", FORM),
        ("//protected/a.pdf", FORM),
        ("/", "it is no path of a file; name /PART/FILE, where downloads.conf lists PART"),
        ("/protected/a%0d%0aX:1", "it has a control character; name another file"),
    ],
)
def test_a_refused_file_has_its_own_reason(named: str, why: str) -> None:
    assert why_refused(named, "a.example") == why
