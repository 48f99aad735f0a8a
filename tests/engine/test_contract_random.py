"""What the program relies on of RandomPassword, whichever plugin runs."""

from stacks import StackFactory

PASSWORD = "random:index/randomPassword:RandomPassword"


def program(rotation: int = 1, length: int = 43) -> str:
    return f"""
import pulumi, pulumi_random
made = pulumi_random.RandomPassword("seed", length={length}, special=False, keepers={{"rotation": "{rotation}"}})
pulumi.export("result", made.result)
"""


def test_the_result_is_encrypted_in_the_state_and_the_id_tells_nothing(stack_factory: StackFactory) -> None:
    stack = stack_factory(program())
    said = stack.up()
    result = stack.outputs()["result"]
    [password] = stack.resources(PASSWORD)
    assert len(result) == 43
    assert result.isalnum()
    assert password["id"] == "none"
    assert "ciphertext" in password["outputs"]["result"]
    assert result not in stack.state()
    assert result not in said
    backend = [path.read_text(errors="replace") for path in (stack.folder / "backend").rglob("*") if path.is_file()]
    assert backend
    assert all(result not in text for text in backend)
    assert result in stack.pulumi("stack", "export", "--show-secrets"), "the search above would have found it"


def test_only_a_changed_keeper_replaces_it(stack_factory: StackFactory) -> None:
    stack = stack_factory(program(rotation=1))
    stack.up()
    first = stack.outputs()["result"]
    assert "2 unchanged" in stack.up()
    assert stack.outputs()["result"] == first
    stack.program(program(rotation=2))
    assert '~ rotation: "1" => "2"' in stack.preview()
    stack.up()
    assert stack.outputs()["result"] != first
