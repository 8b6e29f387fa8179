"""What a daemon leaves to the next one, at a crash and at an upgrade."""
