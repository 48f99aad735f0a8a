"""What an image is built from, and when it is built anew."""

from pathlib import Path

import pytest

from lab import hostpackages, image
from lab.aptsources import Source, configured, parse_deb822, parse_one_line
from lab.errors import LabError
from lab.progress import Progress

DEB822 = """\
# a comment with a colon: here
Types: deb
URIs: http://archive.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://archive.test/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://archive.test/off
Suites: bookworm
Components: main

Types: deb
URIs: https://vendor.test/tools
Suites: nodistro
Components: main
"""


def test_deb822_sources_are_read_and_other_vendors_left_out() -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert list(parse_deb822(DEB822)) == [
        Source("http://archive.test/debian", "", keyring),
        Source("http://archive.test/debian", "-updates", keyring),
        Source("http://archive.test/debian-security", "-security", None),
    ]


def test_one_line_sources_are_read() -> None:
    text = """
deb [arch=amd64 signed-by=/k.gpg] http://archive.test/debian bookworm main  # the main one
deb-src http://archive.test/debian bookworm main
deb http://archive.test/debian bookworm contrib
deb http://vendor.test/x stable main
deb http://archive.test/debian-security bookworm-security main
"""
    assert list(parse_one_line(text)) == [
        Source("http://archive.test/debian", "", "/k.gpg"),
        Source("http://archive.test/debian-security", "-security", None),
    ]


def test_a_source_serves_another_release_from_the_same_place() -> None:
    assert (
        Source("http://archive.test/debian", "-updates", "/k.gpg").line("trixie")
        == "deb [signed-by=/k.gpg] http://archive.test/debian trixie-updates main"
    )


def test_each_source_counts_once(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://archive.test/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "again.list").write_text("deb http://archive.test/debian bookworm main\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert len(configured(tmp_path)) == 4


def test_the_cache_key_changes_with_release_files_and_modes(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("one")
    first = image.rootfs_archive(tmp_path)
    assert image.cache_key("bookworm", first) == image.cache_key("bookworm", image.rootfs_archive(tmp_path))
    script.chmod(0o755)
    executable = image.rootfs_archive(tmp_path)
    script.write_text("two")
    keys = {image.cache_key("bookworm", archive) for archive in (first, executable, image.rootfs_archive(tmp_path))}
    keys.add(image.cache_key("trixie", first))
    assert len(keys) == 4


def test_only_the_main_release_brings_a_kernel() -> None:
    assert [
        release for release in ("bullseye", "bookworm", "trixie") if any("linux-image" in name for name in image.packages(release))
    ] == ["bookworm"]


def test_an_image_holds_no_topology() -> None:
    archive = image.rootfs_archive()
    for address in (b"203.0.113.", b"192.168.", b"10.0.2."):
        assert address not in archive


def test_what_an_interrupted_build_left_is_swept_and_other_releases_are_kept(tmp_path: Path) -> None:
    for name in (".build-bookworm-x", "bookworm-old", "bookworm-new", "trixie-old", ".build-trixie-y"):
        (tmp_path / name).mkdir()
    image._sweep(tmp_path, "bookworm", keep=tmp_path / "bookworm-new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".build-trixie-y", "bookworm-new", "trixie-old"]


def test_an_image_that_is_in_use_is_not_swept(tmp_path: Path) -> None:
    used = tmp_path / "bookworm-old"
    used.mkdir()
    with (used / "root.ext4").open("w"):
        image._sweep(tmp_path, "bookworm", keep=tmp_path / "bookworm-new")
        assert used.is_dir()
    image._sweep(tmp_path, "bookworm", keep=tmp_path / "bookworm-new")
    assert not used.exists()


def test_missing_packages_are_named_in_one_line_for_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    tools = {"no-such-tool-b": "package-b", "no-such-tool-a": "package-a", "sh": "dash"}
    with pytest.raises(LabError, match="install with `sudo apt-get install --no-install-recommends package-a package-b`"):
        hostpackages.ensure(tools, Progress(quiet=True))


def test_what_is_in_the_cache_is_not_built_again_and_what_fails_is_not_in_it(tmp_path: Path) -> None:
    built: list[Path] = []

    def build(work: Path) -> None:
        built.append(work)
        if len(built) == 1:
            raise LabError("no network")

    def make() -> None:
        image.cached(tmp_path / "qemu-1", "qemu", Progress(quiet=True), build)

    with pytest.raises(LabError):
        make()
    assert not (tmp_path / "qemu-1").exists()
    make()
    make()
    assert len(built) == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["qemu-1"]


def test_an_image_that_changed_in_the_cache_is_not_started(tmp_path: Path) -> None:
    def disk(work: Path) -> None:
        (work / "root.ext4").write_text("a")

    def make() -> None:
        image.cached(tmp_path / "trixie-1", "trixie", Progress(quiet=True), disk)

    make()
    make()
    (tmp_path / "trixie-1" / "root.ext4").write_text("b")
    with pytest.raises(LabError, match=r"root\.ext4 is not what was built: remove .*, then run `python -m lab up` again"):
        make()
