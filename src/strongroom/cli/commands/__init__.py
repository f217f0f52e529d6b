"""One module a family of verbs; each is imported when one of its verbs is called."""
