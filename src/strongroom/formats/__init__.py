"""Floor 2: pure codecs between foreign files and entries."""
