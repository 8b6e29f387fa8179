"""Preloaded interpreters, from which apps are forked."""
