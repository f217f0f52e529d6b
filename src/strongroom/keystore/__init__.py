"""Floor 6: the verbs. Adapters call one of these and translate the answer."""
