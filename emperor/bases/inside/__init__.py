"""What runs in the process of a base and of the apps that are forked from it.

The daemon imports nothing of this, and this imports nothing but the standard library.
"""
