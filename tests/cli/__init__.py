"""Tests of floor 7, the command line: the real command in its own process, and in this one where that adds nothing."""
