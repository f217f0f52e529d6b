"""Finding the repository: as the original finds it, and where it says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.blackbox.discovery import Place, find, name_below
from strongroom.errors import BlackBoxError, NotFoundError, PathError
from tests.support.blackbox_fixtures import git


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = (tmp_path / "repo").resolve()
    root.mkdir()
    return root


def _data(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def test_the_root_is_the_top_of_the_git_work_tree(root: Path) -> None:
    git(root, "init", "--quiet")
    _data(root, ".blackbox", "deep/er")
    assert find(root / "deep" / "er", environ={}) == Place(root=root, data=".blackbox")


def test_a_linked_work_tree_is_a_root_of_its_own(root: Path) -> None:
    git(root, "init", "--quiet")
    git(root, "commit", "--quiet", "--allow-empty", "-m", "x")
    git(root, "worktree", "add", "--quiet", "../linked")
    _data(root.parent / "linked", ".blackbox", "deep")
    assert find(root.parent / "linked" / "deep", environ={}).root == root.parent / "linked"


def test_without_git_the_search_goes_upwards_too(root: Path) -> None:
    _data(root, "keyrings/live", "deep/er")
    assert find(root / "deep" / "er", environ={}) == Place(root=root, data="keyrings/live")


def test_the_new_place_wins_over_the_old_one(root: Path) -> None:
    _data(root, "keyrings/live", ".blackbox")
    assert find(root, environ={}).data == ".blackbox"


def test_a_data_directory_below_the_top_is_not_taken(root: Path) -> None:
    git(root, "init", "--quiet")
    _data(root, "sub/.blackbox")
    with pytest.raises(NotFoundError, match=r"there is no '\.blackbox'"):
        find(root / "sub", environ={})


def test_blackboxdata_relative(root: Path) -> None:
    git(root, "init", "--quiet")
    _data(root, ".blackbox/team-a", "deep")
    assert find(root / "deep", environ={"BLACKBOXDATA": ".blackbox/team-a"}).data == ".blackbox/team-a"


def test_blackboxdata_relative_without_git(root: Path) -> None:
    _data(root, "keys", "deep")
    assert find(root / "deep", environ={"BLACKBOXDATA": "keys"}) == Place(root=root, data="keys")


@pytest.mark.parametrize("name", [".blackbox", "keyrings/live"])
@pytest.mark.parametrize("with_git", [True, False])
def test_blackboxdata_absolute_names_its_own_root(root: Path, name: str, with_git: bool) -> None:
    if with_git:
        git(root, "init", "--quiet")
    _data(root, name)
    (root.parent / "elsewhere").mkdir()
    found = find(root.parent / "elsewhere", environ={"BLACKBOXDATA": str(root / name)})
    assert found == Place(root=root, data=name)


def test_repobase_from_outside(root: Path) -> None:
    _data(root, ".blackbox")
    assert find(root.parent, environ={"BLACKBOX_REPOBASE": str(root)}) == Place(root=root, data=".blackbox")
    assert find(root.parent, environ={"BLACKBOX_REPOBASE": "repo"}).root == root


def test_repobase_and_an_absolute_data_directory_elsewhere_contradict_each_other(root: Path) -> None:
    _data(root, ".blackbox")
    (root.parent / "other").mkdir()
    with pytest.raises(BlackBoxError, match="not below the repository's root"):
        find(root, environ={"BLACKBOX_REPOBASE": str(root.parent / "other"), "BLACKBOXDATA": str(root / ".blackbox")})


def test_blackboxdata_may_not_go_upwards(root: Path) -> None:
    _data(root, ".blackbox")
    git(root, "init", "--quiet")
    with pytest.raises(PathError, match="goes upwards"):
        find(root, environ={"BLACKBOXDATA": "../other"})


def test_a_missing_data_directory_is_diagnosed(root: Path) -> None:
    git(root, "init", "--quiet")
    with pytest.raises(NotFoundError) as caught:
        find(root, environ={"BLACKBOXDATA": "nowhere"})
    assert "'nowhere'" in str(caught.value)
    assert "strongroom blackbox initialize" in caught.value.hint


@pytest.mark.parametrize("typed", ["f", "./f", "../sub/f", "../sub//f", "deep/../f"])
def test_a_path_typed_in_a_subdirectory_has_one_name(root: Path, typed: str) -> None:
    _data(root, "sub/deep")
    assert name_below(root, Path(typed), start=root / "sub") == "sub/f"
    assert name_below(root, root / "sub" / "f", start=Path("/")) == "sub/f"


def test_a_path_outside_is_refused(root: Path) -> None:
    (root / "away").symlink_to("/etc")
    for typed in ("../f", "/etc/passwd", "away/passwd", "..", "sub/.."):
        with pytest.raises(PathError):
            name_below(root, Path(typed), start=root)
