"""Tests of floor 3: root, header, slots, identities, and the format on disk."""
