"""Floor 7: Django."""
