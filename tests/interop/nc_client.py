"""What a script with nc-py-api does: one step a run, for two users. Runs where that library is installed.

nc_client.py STEP URL USER PASSWORD OTHER PASSWORD
"""

import io
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from nc_py_api import Nextcloud, NextcloudException, NextcloudMissingCapabilities
from nc_py_api.files import FilePermissions, FsNode
from nc_py_api.files.sharing import ShareType


class Scene:
    """Two users, and short words for what they see."""

    def __init__(self, url: str, user: str, password: str, other: str, others_password: str) -> None:
        self.user, self.other = user, other
        self.nc = Nextcloud(nextcloud_url=url, nc_auth_user=user, nc_auth_pass=password)
        self.theirs = Nextcloud(nextcloud_url=url, nc_auth_user=other, nc_auth_pass=others_password)

    @property
    def files(self):  # type: ignore[no-untyped-def]
        return self.nc.files


def names(nodes: Iterable[FsNode]) -> list[str]:
    return sorted(node.user_path for node in nodes)


def now() -> datetime:
    return datetime.fromtimestamp(time.clock_gettime(time.CLOCK_REALTIME), UTC)


def refused(status: int, work, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
    found = None
    try:
        work(*arguments, **options)
    except NextcloudException as error:
        found = error.status_code
    assert found == status


def step_who_am_i(scene: Scene) -> None:
    nc = scene.nc
    assert nc.srv_version["major"] >= 31
    for found in (nc.users.get_user(), nc.users.get_user(scene.user)):
        assert (found.user_id, found.display_name, found.enabled, found.backend) == (
            scene.user,
            scene.user,
            True,
            "Database",
        )
        for member in [name for name in dir(type(found)) if not name.startswith("_")]:
            getattr(found, member)
    assert nc.users.get_user(scene.other).user_id == scene.other
    assert repr(nc.users.get_user(scene.other))
    refused(404, nc.users.get_user, "nobody")


def step_folders_and_listings(scene: Scene) -> None:
    files = scene.files
    made = files.makedirs("a/b c/d", exist_ok=True)
    assert made.file_id
    files.upload("a/b c/x#?%41&ü.txt", "hello")
    files.upload("a/top", b"")
    assert names(files.listdir("a")) == ["a/b c/", "a/top"]
    assert names(files.listdir("a", exclude_self=False)) == ["a/", "a/b c/", "a/top"]
    assert names(files.listdir("a/b c")) == ["a/b c/d/", "a/b c/x#?%41&ü.txt"]
    node = files.by_path("a/b c/x#?%41&ü.txt")
    assert (node.info.size, node.info.mimetype, node.info.permissions) == (5, "text/plain", "RGDNVW")
    assert abs(now() - node.info.last_modified) < timedelta(minutes=5)
    # A listing of everything is refused; whoever wants it, searches.
    refused(403, files.listdir, "a", depth=-1)
    assert names(files.find(["gte", "size", 0], path="a")) == [
        "a/",
        "a/b c/",
        "a/b c/d/",
        "a/b c/x#?%41&ü.txt",
        "a/top",
    ]
    refused(405, files.mkdir, "a")
    refused(409, files.mkdir, "missing/folder")
    refused(404, files.listdir, "missing")


def step_bodies(scene: Scene) -> None:
    files = scene.files
    content = bytes(range(256)) * 50_000
    small = files.upload("small", b"one")
    assert files.upload("small", b"two").file_id == small.file_id
    assert files.download("small") == b"two"
    large = files.upload_stream("large", io.BytesIO(content), chunk_size=5 * 1024 * 1024)
    assert files.by_path("large").info.size == len(content)
    assert files.upload_stream("large", io.BytesIO(content[::-1]), chunk_size=5 * 1024 * 1024).file_id == large.file_id
    target = io.BytesIO()
    files.download2stream("large", target)
    assert target.getvalue() == content[::-1]
    refused(404, files.download, "missing")
    refused(409, files.upload, "missing/file", b"x")


def step_ids_and_searches(scene: Scene) -> None:
    files = scene.files
    files.makedirs("s/inner")
    made = files.upload("s/inner/Photo one.JPG", b"x" * 100)
    files.upload("s/notes.txt", b"y" * 10)
    for key in (made, made.file_id, files.by_path(made).info.fileid):
        assert files.by_id(key).user_path == "s/inner/Photo one.JPG"
    assert files.by_id(2**40) is None
    assert names(files.find(["like", "name", "%photo%"])) == ["s/inner/Photo one.JPG"]
    assert names(files.find(["eq", "name", "notes.txt"], path="s")) == ["s/notes.txt"]
    assert names(files.find(["eq", "name", "notes.txt"], path="s/inner")) == []
    assert names(files.find(["like", "mime", "image/%"])) == ["s/inner/Photo one.JPG"]
    assert names(files.find(["and", "gt", "size", 0, "like", "mime", "text/%"])) == ["s/notes.txt"]
    found = files.find(["or", "eq", "name", "inner", "and", "lt", "size", 50, "like", "mime", "text/%"], path="s")
    assert names(found) == ["s/inner/", "s/notes.txt"]
    hour = timedelta(hours=1)
    assert len(files.find(["gt", "last_modified", now() - hour], path="s")) == 4
    assert files.find(["gt", "last_modified", now() + hour], path="s") == []
    assert len(files.find(["lt", "creation_date", now() + hour], path="s")) == 4


def step_moves_and_copies(scene: Scene) -> None:
    files = scene.files
    files.makedirs("from/inner")
    first = files.upload("from/inner/f", b"1")
    moved = files.move("from/inner/f", "from/g h")
    assert (moved.user_path, moved.file_id) == ("from/g h", first.file_id)
    copied = files.copy(moved, "from/copy")
    assert (copied.user_path, copied.info.size) == ("from/copy", 1)
    assert copied.file_id != first.file_id
    refused(412, files.copy, "from/g h", "from/copy")
    assert files.copy("from/g h", "from/copy", overwrite=True).user_path == "from/copy"
    folder = files.move("from", "to")
    assert (folder.user_path, folder.is_dir) == ("to/", True)
    assert names(files.listdir(files.copy("to", "to2"))) == ["to2/copy", "to2/g h", "to2/inner/"]
    refused(404, files.move, "missing", "x")
    refused(409, files.move, "to/copy", "missing/x")
    files.delete("to")
    files.delete("to", not_fail=True)
    refused(404, files.delete, "to")


def step_favourites(scene: Scene) -> None:
    files = scene.files
    files.mkdir("fav")
    for name in ("fav/one", "fav/two"):
        files.upload(name, b"x")
    assert files.list_by_criteria(["favorite"]) == []
    files.setfav("fav/one", value=True)
    files.setfav("fav", value=True)
    assert names(files.list_by_criteria(["favorite"])) == ["fav/", "fav/one"]
    assert names(files.find(["eq", "favorite", 1], path="fav")) == ["fav/", "fav/one"]
    assert files.by_path("fav/one").info.favorite
    moved = files.move("fav/one", "fav/three")
    assert moved.info.favorite
    files.setfav(moved, value=False)
    assert names(files.list_by_criteria(["favorite"])) == ["fav/"]


def step_shares(scene: Scene) -> None:
    files, sharing = scene.files, scene.files.sharing
    files.makedirs("shared/inner")
    files.upload("shared/inner/deep.txt", b"x")
    made = sharing.create(
        "shared", ShareType.TYPE_USER, FilePermissions.PERMISSION_READ, scene.other, note="look", label="l"
    )
    assert (made.path, made.share_with, made.permissions, made.note) == ("shared", scene.other, 1, "look")
    for member in [name for name in dir(type(made)) if not name.startswith("_")]:
        getattr(made, member)
    assert [share.share_id for share in sharing.get_list()] == [made.share_id]
    assert [share.share_id for share in sharing.get_list(path="shared")] == [made.share_id]
    assert sharing.get_list(path="shared/inner") == []
    assert sharing.get_by_id(made.share_id).path == "shared"
    received = scene.theirs.files.sharing.get_list(shared_with_me=True)
    assert [(share.share_id, share.share_owner) for share in received] == [(made.share_id, scene.user)]
    assert names(scene.theirs.files.find(["like", "name", "deep%"])) == ["shared/inner/deep.txt"]
    refused(403, scene.theirs.files.upload, "shared/new", b"no")
    changed = sharing.update(made, permissions=FilePermissions(31), note="now write")
    assert (changed.permissions, changed.note) == (31, "now write")
    scene.theirs.files.upload("shared/new", b"yes")
    assert files.download("shared/new") == b"yes"
    sharing.delete(made)
    assert sharing.get_list() == []
    assert scene.theirs.files.find(["like", "name", "deep%"]) == []
    refused(404, scene.theirs.files.listdir, "shared")
    refused(404, sharing.get_by_id, made.share_id)


def step_what_is_not_there(scene: Scene) -> None:
    files = scene.files
    node = files.by_path(files.upload("f", b"x"))
    for work in (files.trashbin_list, files.trashbin_cleanup, files.list_tags):
        refused(404, work)
    refused(404, files.get_tags, node)
    refused(404, files.create_tag, "tag")
    refused(412, files.list_by_criteria, tags=[1])
    for needed, about in ((files.get_versions, node), (files.lock, "f")):
        try:
            needed(about)
        except NextcloudMissingCapabilities:
            continue
        raise AssertionError("a feature that is not there was announced")


if __name__ == "__main__":
    step: Callable[[Scene], None] = globals()[f"step_{sys.argv[1]}"]
    step(Scene(*sys.argv[2:]))
