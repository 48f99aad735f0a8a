"""The engine's gRPC protocol, as the `pulumi` wheel ships it, without the rest of the SDK.

Importing `pulumi.runtime.proto` the ordinary way imports the whole SDK, and each plugin starts on every `pulumi` command, so that time counts.
Here `pulumi` and `pulumi.runtime` become empty packages that only know where their modules are. Never import this in a Pulumi program.
"""

import importlib.util
import sys
import types
from pathlib import Path


def _prepare() -> None:
    if "pulumi" in sys.modules:
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or spec.origin is None:
        raise ImportError("the Python package pulumi is not installed here: run `pip install -r requirements.txt`")
    home = Path(spec.origin).parent
    for name, place in (("pulumi", home), ("pulumi.runtime", home / "runtime")):
        package = types.ModuleType(name)
        package.__path__ = [str(place)]
        sys.modules[name] = package


_prepare()

from pulumi.runtime.proto import (  # noqa: E402
    engine_pb2,
    engine_pb2_grpc,
    language_pb2,
    language_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

__all__ = [
    "engine_pb2",
    "engine_pb2_grpc",
    "language_pb2",
    "language_pb2_grpc",
    "plugin_pb2",
    "provider_pb2",
    "provider_pb2_grpc",
]
