"""Floor 1: the laws of keysets, and the one spelling of a record."""
