"""Encrypted columns: 20,000 rows with one text of 32 bytes, beside the plain column and four other packages.

python -m benchmarks.columns        (make bench installs the other packages, into .venv-rivals)

Reading makes full instances; writing is bulk_create by 1,000 in a transaction that is then taken back. SQLite, a file.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks._timing import Row, Timing, main, measure

ROWS = 20_000
BATCH = 1_000
WRITTEN = 2_000
"""Rows that a round writes: short rounds, many of them, so that each side meets quiet moments."""
READS, WRITES = 15, 31
VERSIONS = 10

AEAD_READ, AEAD_WRITE = 2.0, 1.5
FERNET_READ, FERNET_WRITE = 4.2, 2.2
SAME = 1.05
"""Ten versions as one, within five in a hundred."""

RIVALS = {
    "django-tink-fields": "tink_fields",
    "django-cryptography-django5": "django_cryptography",
    "django-fernet-encrypted-fields": "encrypted_fields",
    "django-encrypted-model-fields": "encrypted_model_fields",
}


def rows() -> list[Row]:
    """DESIGN section 9's row. The measuring has a process of its own: Django is configured once in each."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.columns", "--measure"], stdout=subprocess.PIPE, check=True, text=True
    )
    seen = {name: Timing(*each) for name, each in json.loads(done.stdout).items()}

    def against(ours: str, theirs: str, name: str, what: str, goal: float, *, at_most: bool = True) -> list[Row]:
        return [
            Row(f"{name}, {way} a row", what, seen[f"{ours} {way}"], seen[f"{theirs} {way}"], goal, at_most=at_most)
            for way in ("read", "write")
        ]

    made = [
        Row("column AEAD, read a row", "plain column", seen["aead read"], seen["plain read"], AEAD_READ, at_most=True),
        Row(
            "column AEAD, write a row",
            "plain column",
            seen["aead write"],
            seen["plain write"],
            AEAD_WRITE,
            at_most=True,
        ),
        Row(
            "column Fernet, read a row",
            "plain column",
            seen["fernet read"],
            seen["plain read"],
            FERNET_READ,
            at_most=True,
        ),
        Row(
            "column Fernet, write a row",
            "plain column",
            seen["fernet write"],
            seen["plain write"],
            FERNET_WRITE,
            at_most=True,
        ),
    ]
    for kind in ("aead", "fernet"):
        name = f"column {'AEAD' if kind == 'aead' else 'Fernet'}, oldest of ten versions"
        made.append(
            Row(f"{name}, read", "one version", seen[f"{kind}-ten read"], seen[f"{kind} read"], SAME, at_most=True)
        )
    for rival, module in RIVALS.items():
        ours = "aead" if rival == "django-tink-fields" else "fernet"
        if f"{module} read" in seen:
            made += against(ours, module, f"column {ours}", rival, 1.0, at_most=False)
    made += against("indexed", "aead", "column AEAD with a blind index", "without", 2.5)
    missing = [rival for rival, module in RIVALS.items() if f"{module} read" not in seen]
    if missing:
        print(f"bench: columns: not installed: {', '.join(missing)} (make bench installs them)", file=sys.stderr)
    return made


def measured() -> dict[str, tuple[float, float]]:
    """Seconds a row, least and median, by what was measured."""
    with tempfile.TemporaryDirectory(prefix="sr-bench-", dir="/tmp") as directory:
        _configure(Path(directory))
        from django.db import connection, transaction

        models = _models()
        with connection.schema_editor() as editor:
            for model in models.values():
                editor.create_model(model)
        _rotate_between(models)
        values = [secrets.token_hex(16) for _ in range(ROWS)]
        reads: dict[str, Callable[[], object]] = {}
        writes: dict[str, Callable[[], object]] = {}

        def reader(model: Any) -> Callable[[], object]:
            return lambda: list(model.objects.all())

        def writer(model: Any) -> Callable[[], object]:
            def write() -> None:
                with transaction.atomic():
                    model.objects.bulk_create([model(value=value) for value in values[:WRITTEN]], batch_size=BATCH)
                    transaction.set_rollback(True)

            return write

        for name, model in models.items():
            if not model.objects.exists():
                model.objects.bulk_create([model(value=value) for value in values], batch_size=BATCH)
            assert len(list(model.objects.all())) == ROWS
            reads[f"{name} read"] = reader(model)
            if not name.endswith("-ten"):
                writes[f"{name} write"] = writer(model)
        told: dict[str, tuple[float, float]] = {}
        for calls, count, rounds in ((reads, ROWS, READS), (writes, WRITTEN, WRITES)):
            times = measure(list(calls.values()), number=1, rounds=rounds)
            told |= {name: (each.least / count, each.median / count) for name, each in zip(calls, times, strict=True)}
        connection.close()
    return told


def _configure(directory: Path) -> None:
    from django.conf import settings

    import django

    keyset = directory / "tink.json"
    if find_spec("tink"):
        import tink
        from tink import aead, cleartext_keyset_handle

        aead.register()
        handle = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
        with keyset.open("w") as file:
            cleartext_keyset_handle.write(tink.JsonKeysetWriter(file), handle)
    settings.configure(
        SECRET_KEY=secrets.token_hex(32),
        INSTALLED_APPS=["strongroom.django"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": directory / "db.sqlite3"}},
        STRONGROOM={"default": {"STORE": "memory:"}},
        SALT_KEY=secrets.token_hex(16),
        FIELD_ENCRYPTION_KEY=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        TINK_FIELDS_CONFIG={"default": {"cleartext": True, "path": str(keyset)}},
    )
    django.setup()


def _models() -> dict[str, Any]:
    from django.db import models

    from strongroom.django import keystores
    from strongroom.django.encrypted import BlindIndex, encrypted

    keystore = keystores["default"]
    for kind, names in {"aes256-gcm": ("aead", "aead-ten"), "fernet": ("fernet", "fernet-ten")}.items():
        for name in names:
            keystore.create(name, kind)
    keystore.create("index", "hmac-sha256")

    def text() -> Any:
        return models.CharField(max_length=200)

    fields: dict[str, Any] = {"plain": text()}
    fields |= {name: encrypted(text(), keyset=name) for name in ("aead", "aead-ten", "fernet", "fernet-ten")}
    fields["indexed"] = encrypted(text(), keyset="aead", index=BlindIndex("index"))
    if find_spec("tink_fields"):
        import tink_fields

        fields["tink_fields"] = tink_fields.EncryptedCharField(max_length=200)
    if find_spec("django_cryptography"):
        from django_cryptography.fields import encrypt

        fields["django_cryptography"] = encrypt(text())
    if find_spec("encrypted_fields"):
        from encrypted_fields.fields import EncryptedCharField as SaltedField

        fields["encrypted_fields"] = SaltedField(max_length=200)
    if find_spec("encrypted_model_fields"):
        from encrypted_model_fields.fields import EncryptedCharField as ModelField

        fields["encrypted_model_fields"] = ModelField(max_length=200)

    def model(name: str, field: Any) -> Any:
        key = models.BigAutoField(primary_key=True)
        meta = type("Meta", (), {"app_label": "strongroom"})
        return type(
            name.title().replace("-", ""),
            (models.Model,),
            {"id": key, "value": field, "Meta": meta, "__module__": __name__},
        )

    return {name: model(name, field) for name, field in fields.items()}


def _rotate_between(models: dict[str, Any]) -> None:
    """The rows of ten versions are under the oldest."""
    from strongroom.django import keystores

    for name in ("aead-ten", "fernet-ten"):
        model = models[name]
        values = [secrets.token_hex(16) for _ in range(ROWS)]
        model.objects.bulk_create([model(value=value) for value in values], batch_size=BATCH)
    time.sleep(1.1)  # tokens say their time in seconds, and a rotation is hardly in the second of the last token
    for name in ("aead-ten", "fernet-ten"):
        for _ in range(VERSIONS - 1):
            keystores["default"].rotate(name, now=True)


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        print(json.dumps(measured()))
    else:
        main(rows)
