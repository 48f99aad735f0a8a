"""Which toolchain is used: a pure decision."""

import pytest

from toolchain.choose import Facts, Source, SystemPulumi, choose, new_enough, parse_version, system_fault
from toolchain.versions import PLUGINS, PULUMI

PINNED = {name: (version,) for name, version in PLUGINS.items()}
GOOD = SystemPulumi("/usr/bin/pulumi", PULUMI, True, PINNED)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("3.259.1", (3, 259, 1)),
        ("go1.26.8", (1, 26, 8)),
        ("go1.27", (1, 27, 0)),
        ("go1.26.8 X:nocoverageredesign", (1, 26, 8)),
        ("", None),
        ("devel", None),
    ],
)
def test_versions_are_read_as_their_programs_print_them(text: str, version: tuple[int, ...] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("found", "enough"), [("3.259.0", True), ("3.260.0-alpha.1", True), ("4.0.0", True), ("3.258.9", False), ("", False)]
)
def test_only_the_pinned_version_or_a_later_one_is_new_enough(found: str, enough: bool) -> None:
    assert new_enough(found, "3.259.0") is enough


def test_a_pre_release_of_the_pinned_version_is_not_new_enough() -> None:
    assert not new_enough("3.259.0-alpha.xdeadbeef", "3.259.0")


@pytest.mark.parametrize(
    ("system", "fault"),
    [
        (None, "no pulumi on PATH"),
        (SystemPulumi("/p", "3.100.0", True, PINNED), "the pulumi on PATH is 3.100.0, older than 3.259.0"),
        (SystemPulumi("/p", "", True, PINNED), "of unknown version"),
        (SystemPulumi("/p", PULUMI, False, PINNED), "has no pulumi-language-python"),
        (SystemPulumi("/p", PULUMI, True, {"random": ("4.21.4",)}), "lacks the plugin command 1.2.1"),
        (SystemPulumi("/p", PULUMI, True, {}), "lacks the plugin command 1.2.1 and random 4.21.4"),
        (SystemPulumi("/p", PULUMI, True, {**PINNED, "command": ("1.0.0",)}), "lacks the plugin command 1.2.1"),
    ],
)
def test_a_system_pulumi_that_lacks_something_is_not_used_and_the_reason_is_told(system: SystemPulumi | None, fault: str) -> None:
    assert fault in (system_fault(system) or "")
    choice = choose(Facts(system=system, release_reachable=False))
    assert choice.source is Source.BUILD
    assert fault in choice.why


def test_a_complete_system_pulumi_comes_before_everything() -> None:
    assert system_fault(GOOD) is None
    assert choose(Facts(GOOD, release_cached=True, build_cached=True, release_reachable=True)).source is Source.SYSTEM


def test_the_release_comes_before_a_build() -> None:
    assert choose(Facts(release_reachable=True)).source is Source.RELEASE
    assert choose(Facts(release_cached=True, build_cached=True)).source is Source.RELEASE


def test_what_is_in_the_cache_is_used_without_asking_the_network() -> None:
    assert choose(Facts(build_cached=True)).source is Source.BUILD
    assert choose(Facts(release_cached=True)).source is Source.RELEASE


def test_with_nothing_at_hand_the_network_has_to_be_asked_first() -> None:
    assert choose(Facts()).source is None
    assert choose(Facts(release_reachable=False)).source is Source.BUILD


@pytest.mark.parametrize("wanted", [Source.RELEASE, Source.BUILD])
def test_what_the_user_asks_for_is_used(wanted: Source) -> None:
    assert choose(Facts(GOOD, wanted=wanted)).source is wanted


def test_a_system_pulumi_that_is_asked_for_but_not_there_is_an_error() -> None:
    assert choose(Facts(wanted=Source.SYSTEM)).source is None
    assert choose(Facts(GOOD, wanted=Source.SYSTEM)).source is Source.SYSTEM
