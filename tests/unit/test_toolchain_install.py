"""Putting a toolchain in place: from PATH, from a release on a server of our own, and from a build that is in the cache already."""

import hashlib
import http.server
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from toolchain.build import built_cli
from toolchain.environment import exports, variables
from toolchain.errors import ToolchainError
from toolchain.install import clean, install, outside_path, read_selection
from toolchain.places import Places
from toolchain.release import Vendor, archive_name, plugin_archive_name, published_checksum, release_home
from toolchain.versions import PLUGINS, PULUMI

UNREACHABLE = Vendor("http://127.0.0.1:9/sdk", "http://127.0.0.1:9/sums")

# Knows as much of the command line as installing asks of it.
FAKE_CLI = f"""#!/bin/sh
case "$1 $2" in
"version "*) echo v{PULUMI} ;;
"plugin ls") cat "${{0%/*}}/plugins.json" ;;
"plugin install") mkdir -p "$PULUMI_HOME/plugins/resource-$4-v$5" && cp "$7" "$PULUMI_HOME/plugins/resource-$4-v$5/plugin" ;;
esac
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    clone = Places(tmp_path / "clone", tmp_path / "cache")
    clone.python.parent.mkdir(parents=True)
    clone.python.write_text("")
    return clone


def program(path: Path, text: str = FAKE_CLI) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def system_pulumi(folder: Path) -> dict[str, str]:
    """A complete Pulumi on a PATH of its own."""
    program(folder / "pulumi")
    program(folder / "pulumi-language-python")
    (folder / "plugins.json").write_text(json.dumps([{"name": name, "version": version} for name, version in PLUGINS.items()]))
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def nothing_on_path() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin"}


def cached_build(places: Places) -> Path:
    return program(built_cli(places))


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    """A release as the vendor publishes it, on the loopback address."""
    folder = tmp_path / "vendor"
    folder.mkdir()
    with tarfile.open(folder / archive_name(), "w:gz") as archive:
        for name in ("pulumi", "pulumi-language-python"):
            entry = tarfile.TarInfo(f"pulumi/{name}")
            entry.size, entry.mode = len(FAKE_CLI), 0o755
            archive.addfile(entry, io.BytesIO(FAKE_CLI.encode()))
    digest = hashlib.sha256((folder / archive_name()).read_bytes()).hexdigest()
    (folder / f"pulumi-{PULUMI}-checksums.txt").write_text(f"{'0' * 64}  another.tar.gz\n{digest}  {archive_name()}\n")
    for kind, (name, version) in zip(("sha1", "sha256"), PLUGINS.items(), strict=True):
        archive_of_plugin = folder / plugin_archive_name(name, version)
        archive_of_plugin.write_bytes(f"the plugin {name}".encode())
        digest = hashlib.new(kind, archive_of_plugin.read_bytes()).hexdigest()
        (folder / f"pulumi-{name}_{version}_checksums.txt").write_text(f"{digest}  ./{archive_of_plugin.name}\n")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        yield Vendor(address, address, address, address)
        server.shutdown()


def test_a_complete_pulumi_on_path_is_used_as_it_is(places: Places, tmp_path: Path) -> None:
    environment = system_pulumi(tmp_path / "system")
    selection = install(places, environment, UNREACHABLE)
    assert (selection.source, selection.cli) == ("system", str(tmp_path / "system" / "pulumi"))
    values = variables(places, selection, environment)
    assert "PULUMI_HOME" not in values, "its plugins are in the user's own folder"
    assert not places.bin.exists()


def test_the_release_is_checked_unpacked_and_completed_with_its_plugins(places: Places, vendor: Vendor) -> None:
    selection = install(places, nothing_on_path(), vendor)
    assert selection.source == "release"
    assert (places.bin / "pulumi").read_text() == FAKE_CLI
    assert (places.bin / "pulumi-language-python").exists()
    assert sorted(path.name for path in (places.pulumi_home / "plugins").iterdir()) == [
        "resource-command-v1.2.1",
        "resource-random-v4.21.4",
    ]
    assert install(places, nothing_on_path(), UNREACHABLE).source == "release", "the second time it comes from the cache"


def test_an_archive_with_another_checksum_is_not_used(places: Places, vendor: Vendor, tmp_path: Path) -> None:
    archive = tmp_path / "vendor" / archive_name()
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(ToolchainError, match="not the published"):
        install(places, nothing_on_path(), vendor)
    assert not release_home(places).exists()
    assert read_selection(places) is None


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_with_another_checksum_is_not_used(places: Places, vendor: Vendor, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "vendor" / plugin_archive_name(name, PLUGINS[name])
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(ToolchainError, match="not the published"):
        install(places, nothing_on_path(), vendor)
    assert not release_home(places).exists()
    assert read_selection(places) is None


def test_a_plugin_without_a_published_checksum_is_not_used(places: Places, vendor: Vendor, tmp_path: Path) -> None:
    (tmp_path / "vendor" / f"pulumi-random_{PLUGINS['random']}_checksums.txt").write_text("")
    with pytest.raises(ToolchainError, match="which is not used without"):
        install(places, nothing_on_path(), vendor)


def test_the_plugins_are_the_archives_that_were_checked(places: Places, vendor: Vendor) -> None:
    install(places, nothing_on_path(), vendor)
    assert (places.pulumi_home / "plugins" / "resource-random-v4.21.4" / "plugin").read_text() == "the plugin random"


@pytest.mark.parametrize("file", ["pulumi", "pulumi-language-python", "home/plugins/resource-command-v1.2.1/plugin"])
def test_a_release_that_changed_in_the_cache_is_not_used(places: Places, vendor: Vendor, file: str) -> None:
    install(places, nothing_on_path(), vendor)
    (release_home(places) / file).write_bytes(b"something else")
    with pytest.raises(ToolchainError, match=f"{file} is not what was put there"):
        install(places, nothing_on_path(), UNREACHABLE)


def test_a_build_that_changed_in_the_cache_is_not_used(places: Places) -> None:
    cli = cached_build(places)
    install(places, nothing_on_path(), UNREACHABLE)
    cli.write_text("something else")
    with pytest.raises(ToolchainError, match="is not what was put there; remove"):
        install(places, nothing_on_path(), UNREACHABLE)


def test_a_vendor_that_is_not_reachable_is_no_checksum() -> None:
    assert published_checksum(UNREACHABLE) is None


def test_a_release_that_is_asked_for_but_not_reachable_is_an_error(places: Places) -> None:
    with pytest.raises(ToolchainError, match="not reachable from here"):
        install(places, {**nothing_on_path(), "WG_OFFICE_TOOLCHAIN": "release"}, UNREACHABLE)


def test_a_source_that_does_not_exist_is_an_error(places: Places) -> None:
    with pytest.raises(ToolchainError, match="must be system, release or build"):
        install(places, {**nothing_on_path(), "WG_OFFICE_TOOLCHAIN": "sistem"}, UNREACHABLE)


def test_a_build_comes_with_stand_ins_that_the_clones_python_runs(places: Places) -> None:
    cached_build(places)
    selection = install(places, nothing_on_path(), UNREACHABLE)
    assert selection.source == "build"
    for name in ("pulumi-language-python", "pulumi-resource-command", "pulumi-resource-random"):
        text = (places.bin / name).read_text()
        assert f"{places.python} -I {places.clone}/toolchain/launch.py" in text
    plugin = places.pulumi_home / "plugins" / "resource-command-v1.2.1" / "pulumi-resource-command"
    assert "plugin_command" in plugin.read_text()
    assert not (places.bin / "pulumi").is_symlink(), "the CLI looks for its language host beside the file that it is"


def test_installing_again_changes_nothing(places: Places) -> None:
    cached_build(places)
    first = install(places, nothing_on_path(), UNREACHABLE)
    before = {path: path.stat().st_mtime_ns for path in places.bin.iterdir()}
    assert install(places, nothing_on_path(), UNREACHABLE) == first
    assert {path: path.stat().st_mtime_ns for path in places.bin.iterdir()} == before


def test_a_pulumi_that_came_from_here_is_no_system_pulumi(places: Places) -> None:
    cached_build(places)
    install(places, nothing_on_path(), UNREACHABLE)
    inside = {"PATH": f"{places.bin}:/usr/bin:/bin"}
    assert outside_path(places, inside) == "/usr/bin:/bin"
    assert install(places, inside, UNREACHABLE).source == "build"


def test_a_changed_recipe_makes_the_selection_stale(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_build(places)
    install(places, nothing_on_path(), UNREACHABLE)
    assert read_selection(places) is not None
    monkeypatch.setattr("toolchain.install.build_key", lambda: "another")
    assert read_selection(places) is None


def test_a_clone_without_its_python_is_told_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match=r"python3 -m venv \.venv"):
        install(Places(tmp_path / "bare", tmp_path / "cache"), nothing_on_path(), UNREACHABLE)


def test_the_environment_can_be_evaluated_by_a_shell_again_and_again(places: Places) -> None:
    cached_build(places)
    selection = install(places, nothing_on_path(), UNREACHABLE)
    once = variables(places, selection, {"PATH": "/it's/here:/usr/bin:/bin"})
    assert variables(places, selection, once) == once
    said = subprocess.run(["/bin/sh", "-c", exports(once) + 'printf %s "$PATH"'], capture_output=True, text=True, check=True)
    assert said.stdout == f"{places.bin}:{places.clone}/.venv/bin:/it's/here:/usr/bin:/bin"
    assert once["PULUMI_BACKEND_URL"] == f"file://{places.clone}/.state/backend"


def test_cleaning_takes_the_cache_and_the_links_but_no_stacks_state(places: Places) -> None:
    cached_build(places)
    install(places, nothing_on_path(), UNREACHABLE)
    (places.backend / "stack.json").write_text("{}")
    clean(places)
    assert not places.cache.exists()
    assert not places.bin.exists()
    assert read_selection(places) is None
    assert (places.backend / "stack.json").exists()
