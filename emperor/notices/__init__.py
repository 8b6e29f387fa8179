"""Tells an administrator what is wrong and what is over: by a command, and by a webhook."""
