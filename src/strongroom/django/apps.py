"""The Django app. Its `ready` registers and opens nothing: it runs for every command, and before forks."""

from __future__ import annotations

from django.apps import AppConfig


class StrongroomConfig(AppConfig):
    """`INSTALLED_APPS = [..., "strongroom.django"]`."""

    name = "strongroom.django"
    label = "strongroom"
    verbose_name = "Strongroom"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # these import Django parts that want the apps loaded
        from strongroom.django import (
            altering,
            auditing,
            checks,
            connections,
            plaintext_guard,
            stored,
            tally,
            token_backend,
            token_checks,
        )
        from strongroom.django.cache import checks as cache_checks
        from strongroom.django.fields import model_checks

        checks.register()
        cache_checks.register()
        model_checks.register()
        token_checks.register()
        connections.follow_settings()
        token_backend.install_if_named()
        connections.keystores.report_uses(tally.InColumns)
        connections.keystores.report_uses(stored.InFiles)
        auditing.follow()
        plaintext_guard.follow()
        altering.follow()
