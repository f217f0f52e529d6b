"""Floor 7: the command line. It translates words and decides nothing."""

COMPLETION = "_STRONGROOM_COMPLETE"
"""The variable by which a shell asks for completions (click's convention)."""
