"""A database and the tables of a few models, for the time of a test. The models are the site's for as long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import connections, models

APP = "strongroom"
"""The app that the models say they are of: it is installed already."""
SCHOOL = "school"


@contextmanager
def tables(database: dict[str, Any], *made: type[models.Model], alias: str = "default") -> Iterator[None]:
    """Have the models' tables in this database, which is the alias of DATABASES meanwhile."""
    before = connections.settings.get(alias)
    # not closed: Django never closes a database in memory, and one that is dropped unclosed is a ResourceWarning
    held = None if before is None else connections[alias]
    if held is not None:
        del connections[alias]
    connections.settings[alias] = connections.configure_settings({"default": {}, alias: dict(database)})[alias]
    elsewhere = dict(apps.all_models[SCHOOL])  # its tables are in the tests' own database, and not in this one
    apps.all_models[SCHOOL].clear()
    for model in made:
        apps.all_models[APP][model._meta.model_name or ""] = model
    apps.clear_cache()
    try:
        with connections[alias].schema_editor() as editor:
            for model in made:
                editor.create_model(model)
        try:
            yield
        finally:
            with connections[alias].schema_editor() as editor:
                for model in reversed(made):
                    editor.delete_model(model)
    finally:
        connections[alias].close()
        for model in made:
            del apps.all_models[APP][model._meta.model_name or ""]
        apps.all_models[SCHOOL].update(elsewhere)
        apps.clear_cache()
        del connections[alias]
        if before is None or held is None:
            del connections.settings[alias]
        else:
            connections.settings[alias] = before
            connections[alias] = held
