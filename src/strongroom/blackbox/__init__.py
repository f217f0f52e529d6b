"""A BlackBox repository: files, admins, reading, registering. It knows nothing of keystores."""
