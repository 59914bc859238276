"""Fixtures of the attacks."""

import pytest
from tests.attacks.scene import NESTED_NAME, SECOND_NAME, Scene, new_scene

from candado.folder.model import Accepted


@pytest.fixture
def scene() -> Scene:
    return new_scene()


@pytest.fixture
def known(scene: Scene) -> Accepted:
    """The root as alice's device accepted it: counter 5, signed by bob, two nested folders."""
    folders = {NESTED_NAME: "plans", SECOND_NAME: "photos"}
    return scene.accepted(scene.root(scene.content(5, "budget.txt", folders=folders)))
