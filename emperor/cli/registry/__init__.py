"""`emperorctl registry`: one module for each of its commands."""
