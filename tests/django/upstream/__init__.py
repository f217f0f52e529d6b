"""Django's own cache tests, from the source distribution of the Django that is installed, over an EncryptedCache."""
