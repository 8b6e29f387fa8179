"""All that knows uWSGI: how to read an ini, how to start a vassal, what its bytes mean."""
