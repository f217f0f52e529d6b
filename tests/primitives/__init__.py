"""Floor 0: bytes in, bytes out, against vectors and against other implementations."""
