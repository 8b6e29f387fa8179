"""Decides why nginx does not send the file that an app names in X-Accel-Redirect.

nginx/emperord/request.conf decides what is sent: `/PART/REST`, where REST does not end with "/" and
no control character is in it, if downloads.conf lists PART for the host.
"""

from urllib.parse import unquote


def why_refused(named: str, host: str) -> str:
    """Cause and cure, for the value as request.conf passes it on: "/" if it is no printable path,
    and with three dots at its end if it goes on."""
    path = unquote(named.partition("?")[0])
    part, slash, rest = path.removeprefix("/").partition("/")
    if path == "/":
        return "it is no path of a file; name /PART/FILE, where downloads.conf lists PART"
    if not part or not slash:
        return "it is not of the form /PART/FILE; name it so, where downloads.conf lists PART"
    if any(char < " " for char in rest):
        return "it has a control character; name another file"
    if path.endswith("/"):
        return "it is a folder; name a file in it"
    return (
        f"it is in no folder that /etc/nginx/emperord/downloads.conf lists for {host}; add a line"
        f" that begins with {host}/{part}"
    )
