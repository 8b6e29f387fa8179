"""Prints what a browser would run as a part of a page, and fails with more of it."""

import os

SCRIPT = "<script>document.title = 'taken over'</script><img src=x onerror=\"document.title='x'\">"

os.write(2, f"{SCRIPT}\n\x1b[2J\x1b]0;title\x07 \u202e reversed\n".encode())
raise RuntimeError(SCRIPT)
