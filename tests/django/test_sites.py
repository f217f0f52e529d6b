"""Each consumer's page, with the real package: its settings make a site, which keys are rotated under."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.django.sites import making

SITES = [
    pytest.param("database-passwords.md", "passwords.py", id="database-passwords"),
    pytest.param("jwks.md", "jwks.py", id="jwks"),
    pytest.param("pyjwt.md", "pyjwt.py", id="pyjwt"),
    pytest.param("simplejwt.md", "simplejwt.py", id="simplejwt"),
    pytest.param("allauth.md", "allauth_site.py", id="allauth", marks=pytest.mark.slow),  # RSA keys of 3072 bits are
    pytest.param("oauth-toolkit.md", "oauth_toolkit.py", id="oauth-toolkit", marks=pytest.mark.slow),  # made in these
]


@pytest.mark.parametrize(("page", "tests"), SITES)
def test_the_site_of_the_page_does_what_the_page_says(page: str, tests: str, tmp_path: Path) -> None:
    making.make(page, tmp_path)
    done = making.run(tests, tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
