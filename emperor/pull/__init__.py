"""Has the inis of the registry be in the folder of inis: whatever a backend does about entries."""
