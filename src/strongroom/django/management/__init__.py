"""Where Django looks for commands. Nothing else is kept here."""
