"""Never comes out of its import."""

import signal

while True:
    signal.pause()
