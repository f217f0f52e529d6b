"""Floor 1: values and laws of keysets. No I/O and no clock."""
