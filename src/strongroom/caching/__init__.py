"""Floor 5: what a process keeps in memory, within limits."""
