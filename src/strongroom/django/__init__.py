"""Floor 7: Django. It translates words and decides nothing."""
