"""Floor 3: the root key, the header that vouches for it, and the slots that open it."""
