"""`emperorctl fleet`: the backends of a fleet and their slots, in the registry."""
