"""Single files and odd names at the command line: what is left out is told, what is refused says where."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.cli_world import Cloud, running_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def test_put_tells_what_it_leaves_out_and_fails_partly_on_names_that_cannot_be_used(
    cloud: Cloud, tmp_path: Path
) -> None:
    device = cloud.ready("anna")
    device.run("encrypt", "Box")
    source = tmp_path / "odd"
    source.mkdir()
    (source / "link").symlink_to("nowhere")
    (source / ".candadoignore").write_text("*\n")
    done = device.run("put", source, "Box")
    assert "left out by ignore rules: 2" in done.err
    assert "uploaded 0 files" in done.err
    (source / ".candadoignore").unlink()
    (source / os.fsdecode(b"latin-\xe9")).write_text("x")
    (source / "good").write_text("g")
    done = device.run("put", source, "Box", "--json", expect=3)
    assert done.json["left_out"] == [{"path": "/Box/odd/link", "reason": "a link"}]
    assert [(one["code"], one["path"]) for one in done.json["errors"]] == [("NAME_UNSAFE", "/Box/odd/latin-\\udce9")]
    assert done.json["files"] == 1


def test_a_wrong_secret_names_where_it_came_from(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("cleo")
    wrong = tmp_path / "wrong"
    wrong.write_text("not the password\n")
    other = cloud.device("cleo")
    words: list[str | Path] = ["login", cloud.url, "--user", "cleo", "--password-file", wrong, "--json"]
    error = other.run(*words, expect=12).json["error"]
    assert (error["code"], error["path"]) == ("AUTH_REQUIRED", cloud.url)
    error = device.run("key", "show", "--password-file", wrong, "--phrase-out", tmp_path / "out", "--json", expect=12)
    assert error.json["error"]["path"] == cloud.url
    other.login("--insecure-storage")
    for text in ("abandon " * 12, "abandon", "abandonn " * 12):
        wrong.write_text(text)
        error = other.run("init", "--phrase-file", wrong, "--json", expect=12).json["error"]
        assert (error["code"], error["path"]) == ("WRONG_MNEMONIC", str(wrong))
    other.environment["CANDADO_PHRASE_COMMAND"] = "echo abandon"
    assert other.run("init", "--json", expect=12).json["error"]["path"] == "CANDADO_PHRASE_COMMAND"


def test_where_a_file_would_go_is_clear_before_it_is_sent(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("dina")
    device.run("encrypt", "Box")
    (tmp_path / "a.txt").write_text("a")
    assert device.run("put", tmp_path / "a.txt", "Box/new/", "--json", expect=4).json["error"]["path"] == "/Box/new"
    error = device.run("put", "-", "Box", "--json", stdin="x", expect=2).json["error"]
    assert (error["code"], "Name the file" in error["hint"]) == ("USAGE", True)
    device.run("put", "-", "Box", "--name", "piped", stdin="x")
    error = device.run("put", os.devnull, "Box", "--json", expect=2).json["error"]
    assert (error["path"], "neither a regular file" in error["message"]) == (os.devnull, True)
    assert device.run("ls", "Box").out == "piped\n"


def test_a_path_has_one_form_in_every_listing_and_a_taken_local_name_tells_of_conflict(
    cloud: Cloud, tmp_path: Path
) -> None:
    device = cloud.ready("edda")
    device.run("encrypt", "Box")
    device.run("put", "-", "Box/a", stdin="a")
    for word in ("ls", "tree", "stat", "find", "du"):
        for typed in ("Box", "/Box", "Box/"):
            assert device.run(word, typed, "--json").json["path"] == "/Box", word
    (tmp_path / "a").write_text("mine")
    (error,) = device.run("get", "Box/a", tmp_path / "a", "--json", expect=1).json["errors"]
    assert (error["code"], "--conflict" in error["hint"]) == ("ALREADY_EXISTS", True)


def test_patterns_name_several_remote_files(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("fiona")
    device.run("encrypt", "Box")
    for name in ("a.txt", "b.txt", "c.pdf"):
        device.run("put", "-", f"Box/{name}", stdin=name)
    out = tmp_path / "out"
    assert device.run("get", "Box/*.txt", out, "--json", expect=4).json["error"]["path"] == str(out)
    out.mkdir()
    assert device.run("get", "Box/*.txt", out, "--json").json["files"] == 2
    assert {path.name: path.read_text() for path in out.iterdir()} == {"a.txt": "a.txt", "b.txt": "b.txt"}
    assert device.run("get", "Box/*.txt", "-").out == "a.txtb.txt"
    assert device.run("get", "Box/*.zip", out, "--json", expect=4).json["error"]["code"] == "NOT_FOUND"
    device.run("mkdir", "Box/full")
    device.run("cp", "Box/*.txt", "Box/full")
    device.run("rm", "Box/*", "--json", expect=2)
    assert device.run("ls", "Box").out.split() == ["a.txt", "b.txt", "c.pdf", "full/"]
    assert [one["path"] for one in device.run("rm", "Box/*.txt", "Box/a*", "--json").json["removed"]] == [
        "/Box/a.txt",
        "/Box/b.txt",
    ]
    device.run("mv", "Box/full/*", "Box")
    assert device.run("ls", "Box").out.split() == ["a.txt", "b.txt", "c.pdf", "full/"]


def test_names_that_windows_cannot_have_are_told_in_words_and_json(cloud: Cloud, tmp_path: Path) -> None:
    device = cloud.ready("gabi")
    device.run("encrypt", "Box")
    (tmp_path / "con").write_text("1")
    done = device.run("put", tmp_path / "con", "Box")
    assert done.err.count("[NAME_WINDOWS]") == 1
    done = device.run("mkdir", "Box/a:b", "--json")
    assert [(one["code"], one["path"]) for one in done.json["warnings"]] == [("NAME_WINDOWS", "/Box/a:b")]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "AUX.txt").write_text("1")
    (warning,) = device.run("sync", folder, "Box/a:b", "--json").json["warnings"]
    assert (warning["code"], warning["path"]) == ("NAME_WINDOWS", "AUX.txt")
    assert device.run("sync", folder, "Box/a:b", "--json").json["warnings"] == []
