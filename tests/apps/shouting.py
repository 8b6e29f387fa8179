"""Cannot be imported, and says so in words that steer a terminal: it clears it, gives it a title,
changes its colour by a control character of one byte, and writes from right to left."""

import sys

WORDS = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\x08\x00\rwords"

sys.stderr.buffer.write(f"{WORDS}\n".encode() + b"\x9b31m\xff\n")
sys.stderr.flush()
raise ImportError(WORDS)
