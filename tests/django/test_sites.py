"""Each consumer's page, with the real package: its settings make a site, which keys are rotated under."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.django.sites import making

SITES = {"jwks.md": "jwks.py", "pyjwt.md": "pyjwt.py", "simplejwt.md": "simplejwt.py"}


@pytest.mark.parametrize(("page", "tests"), SITES.items(), ids=list(SITES))
def test_the_site_of_the_page_does_what_the_page_says(page: str, tests: str, tmp_path: Path) -> None:
    making.make(page, tmp_path)
    done = making.run(tests, tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
