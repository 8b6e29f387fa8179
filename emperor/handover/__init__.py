"""What one daemon leaves the next, at a crash and at an upgrade."""
