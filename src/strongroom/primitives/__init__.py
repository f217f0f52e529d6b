"""Floor 0: bytes in, bytes out. Nothing here knows what a keyset is."""
