"""The Django app. Its `ready` registers checks and does nothing else: it runs for every command, and before forks."""

from __future__ import annotations

from django.apps import AppConfig


class StrongroomConfig(AppConfig):
    """`INSTALLED_APPS = [..., "strongroom.django"]`."""

    name = "strongroom.django"
    label = "strongroom"
    verbose_name = "Strongroom"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from strongroom.django import checks, connections  # both import Django parts that want the apps loaded

        checks.register()
        connections.follow_settings()
