"""The verbs of `manage.py strongroom`, one module each. This table is the whole list; nothing registers itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from strongroom.django.verbs.base import Verb
from strongroom.django.verbs.compromise import COMPROMISE
from strongroom.django.verbs.destroy import DESTROY
from strongroom.django.verbs.publish import PUBLISH
from strongroom.django.verbs.reencrypt import REENCRYPT

VERBS: Mapping[str, Verb] = MappingProxyType(
    {"compromise": COMPROMISE, "destroy": DESTROY, "publish": PUBLISH, "reencrypt": REENCRYPT}
)
