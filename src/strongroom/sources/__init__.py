"""Floor 7: settings libraries that are no Django's. Each asks one opened keystore, while settings load."""
