"""emperorctl: what the administrator types, one module for each command."""
