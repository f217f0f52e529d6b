"""Contracts and fakes with behaviour, shipped so that others can test their own stores."""
