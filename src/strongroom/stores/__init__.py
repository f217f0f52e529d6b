"""Floor 4: records at rest, and the sources a keystore draws from."""
