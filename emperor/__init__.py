"""emperord: hosts thousands of mostly idle Python web apps on one machine; a hit wakes each."""

__version__ = "0.1.0"
