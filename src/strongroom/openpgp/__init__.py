"""Floor 2: OpenPGP engines. They know certificates and messages, not what is in them."""
