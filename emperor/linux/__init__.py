"""One kernel facility in each module, and no decisions."""
