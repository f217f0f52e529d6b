"""What the application gets: a primitive bound to a keyset, which follows the keyset as it changes."""
