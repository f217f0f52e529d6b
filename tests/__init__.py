"""The tests: sentences about behaviour, against real gpg, git and Redis. Nothing of ours is patched."""
