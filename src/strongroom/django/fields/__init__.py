"""Encrypted columns. What a site imports stands in strongroom.django.encrypted; these rooms are behind it."""
