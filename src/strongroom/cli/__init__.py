"""Floor 7: the command line. It translates words and decides nothing."""
