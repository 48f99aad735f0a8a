"""The stand-in for pulumi-random, whichever toolchain is in use: what it refuses."""

from stacks import StackFactory


def test_a_length_that_is_no_length_is_refused_before_anything_is_made(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory("import pulumi_random\npulumi_random.RandomPassword('seed', length=0)\n")
    assert "length must be a whole number of at least 1" in stack.up(fails=True)
    assert stack.resources("random:index/randomPassword:RandomPassword") == []


def test_another_resource_of_the_package_is_refused(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory("import pulumi_random\npulumi_random.RandomString('seed', length=8)\n")
    assert "implements random:index/randomPassword:RandomPassword only" in stack.up(fails=True)


def test_it_makes_passwords_and_nobody_is_warned_of_it(stand_in_factory: StackFactory) -> None:
    stack = stand_in_factory(
        "import pulumi, pulumi_random\npulumi.export('a', pulumi_random.RandomPassword('p', length=43, special=False).result)\n"
    )
    assert "warning" not in stack.up()
    assert len(stack.outputs()["a"]) == 43
