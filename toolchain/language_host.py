"""A stand-in for pulumi-language-python: tells what a Python project needs, installs it, and runs the program in a process of its own."""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from toolchain.serving import engine_address, refuse, serve, to_dict
from toolchain.versions import PULUMI

REASON_IS_SHOWN = 32
RUNNER = Path(__file__).with_name("run_program.py")
SECONDS_AFTER_CANCEL = 30
"""The program answers the engine's hooks, which tell how commands ended that were under way."""
KNOWN_OPTIONS = frozenset({"virtualenv", "toolchain"})


class ProjectError(Exception):
    """What is wrong with the project's runtime options or its virtual environment, and what to do."""


@dataclass(frozen=True)
class Project:
    """What the engine says about a project, as far as it matters here."""

    root: Path
    directory: Path
    entry_point: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, info: Any) -> "Project":
        """From the protocol's ProgramInfo; refuses runtime options that are not implemented."""
        options = to_dict(info.options)
        unknown = sorted(set(options) - KNOWN_OPTIONS)
        if unknown or options.get("toolchain", "pip") != "pip":
            named = ", ".join(f"{key}: {options[key]}" for key in unknown or ["toolchain"])
            raise ProjectError(
                f"Pulumi.yaml: runtime option {named} is not implemented by this stand-in: use virtualenv, and toolchain: pip"
            )
        directory = Path(info.program_directory or info.root_directory)
        return cls(Path(info.root_directory or directory), directory, info.entry_point or ".", options)

    @property
    def virtualenv(self) -> Path | None:
        """The project's virtual environment, if it names one."""
        named = self.options.get("virtualenv")
        return self.root / str(named) if named else None

    @property
    def program(self) -> Path:
        """The folder with the program's __main__.py, or the file itself."""
        return self.directory / self.entry_point

    def python(self) -> Path:
        """The Python that runs the program; never a guess where the project names a virtual environment."""
        if self.virtualenv is not None:
            python = self.virtualenv / "bin" / "python"
            if not python.exists():
                raise ProjectError(f"the virtual environment {self.virtualenv} of Pulumi.yaml does not exist yet: run `pulumi install`")
            return python
        found = os.environ.get("PULUMI_PYTHON_CMD") or shutil.which("python3") or shutil.which("python")
        if not found:
            raise ProjectError("no python3 on PATH: install it, or name one in Pulumi.yaml (runtime: options: virtualenv)")
        return Path(found)


async def site_packages(project: Project) -> list[str]:
    """Where the project's Python finds its packages."""
    process = await asyncio.create_subprocess_exec(
        project.python(), "-c", "import json, sys; print(json.dumps([p for p in sys.path[1:] if p]))", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return list(json.loads(output)) if process.returncode == 0 else []


def providers(places: list[str]) -> Iterator[dict[str, Any]]:
    """The providers that the installed packages ask for: each says so in a pulumi-plugin.json of its own."""
    for place in places:
        for path in sorted(Path(place).glob("*/pulumi-plugin.json")):
            described = json.loads(path.read_text())
            if described.get("resource"):
                yield described


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """The protocol's LanguageRuntime, for `up`, `preview`, `destroy`, `refresh`, `install` and `about`; the rest is unimplemented."""

    def __init__(self, engine: str | None) -> None:
        self.engine = engine or ""
        self.running: set[asyncio.subprocess.Process] = set()

    async def Handshake(self, request: Any, context: Any) -> Any:
        """The engine's address."""
        self.engine = request.engine_address or self.engine
        return language_pb2.LanguageHandshakeResponse()

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The version that this stands in for."""
        return plugin_pb2.PluginInfo(version=PULUMI)

    async def _project(self, info: Any, context: Any) -> Project:
        try:
            return Project.of(info)
        except ProjectError as error:
            await refuse(context, error)

    async def _places(self, info: Any, context: Any) -> list[str]:
        project = await self._project(info, context)
        try:
            return await site_packages(project)
        except ProjectError as error:
            await refuse(context, error)

    async def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        """The provider plugins that the installed packages need."""
        needed = [
            plugin_pb2.PackageDependency(name=one["name"], kind="resource", version=one.get("version", ""), server=one.get("server", ""))
            for one in providers(await self._places(request.info, context))
        ]
        return language_pb2.GetRequiredPackagesResponse(packages=needed)

    async def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """The same, as older engines ask for it."""
        needed = [
            plugin_pb2.PluginDependency(name=one["name"], kind="resource", version=one.get("version", ""), server=one.get("server", ""))
            for one in providers(await self._places(request.info, context))
        ]
        return language_pb2.GetRequiredPluginsResponse(plugins=needed)

    async def GetProgramDependencies(self, request: Any, context: Any) -> Any:
        """The installed packages, for `pulumi about`."""
        found = importlib.metadata.distributions(path=await self._places(request.info, context))
        names = sorted({(one.metadata["Name"], one.version) for one in found})
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in names]
        )

    async def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:
        """Nothing to ask: what Pulumi.yaml says is enough."""
        return language_pb2.RuntimeOptionsResponse()

    async def About(self, request: Any, context: Any) -> Any:
        """This Python; the project's own is asked for where it is there."""
        try:
            python = Project.of(request.info).python()
        except ProjectError:
            python = Path(sys.executable)
        process = await asyncio.create_subprocess_exec(python, "-V", stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return language_pb2.AboutResponse(executable=str(python), version=output.decode().removeprefix("Python ").strip())

    async def Run(self, request: Any, context: Any) -> Any:
        """Run the program to its end."""
        try:
            project = Project.of(request.info)
            status = await self._run(project.python(), run_request(request, project, self.engine), request.pwd or str(project.directory))
        except (ProjectError, OSError) as error:
            return language_pb2.RunResponse(error=str(error))
        if status == REASON_IS_SHOWN:
            return language_pb2.RunResponse(bail=True)
        if status < 0:
            return language_pb2.RunResponse(error=f"Program was ended by {signal.Signals(-status).name}")
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {status}" if status else "")

    async def _run(self, python: Path, request: dict[str, Any], directory: str) -> int:
        process = await asyncio.create_subprocess_exec(python, "-u", str(RUNNER), stdin=asyncio.subprocess.PIPE, cwd=directory)
        self.running.add(process)
        try:
            await process.communicate(json.dumps(request).encode())
        finally:
            self._forget(process)
        return process.returncode or 0

    async def InstallDependencies(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Make the project's virtual environment, and install its requirements.txt into it; the steps' output is streamed."""
        try:
            project = Project.of(request.info)
            for command in install_steps(project):
                async for chunk in self._output(command, project.directory):
                    yield language_pb2.InstallDependenciesResponse(stdout=chunk)
        except (ProjectError, OSError) as error:
            await refuse(context, error)

    async def _output(self, command: list[str], directory: Path) -> AsyncIterator[bytes]:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=directory, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self.running.add(process)
        try:
            assert process.stdout is not None
            while chunk := await process.stdout.read(4096):
                yield chunk
            if await process.wait() != 0:
                raise ProjectError(f"`{' '.join(command)}` ended with status {process.returncode}; what it said is above")
        finally:
            self._forget(process)

    async def Cancel(self, request: Any, context: Any) -> Any:
        """The user pressed Ctrl-C: tell what is running, and end it where it does not end itself."""
        for process in self.running:
            end(process, signal.SIGINT)
            asyncio.get_running_loop().call_later(SECONDS_AFTER_CANCEL, end, process)
        return empty_pb2.Empty()

    def stop(self) -> None:
        """End the program, should it still run."""
        for process in self.running:
            end(process)

    def _forget(self, process: asyncio.subprocess.Process) -> None:
        # The engine may have cancelled the call, and then nobody else ends the process.
        end(process)
        self.running.discard(process)


def end(process: asyncio.subprocess.Process, how: signal.Signals = signal.SIGTERM) -> None:
    """End a process, unless it has ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)


def run_request(request: Any, project: Project, engine: str) -> dict[str, Any]:
    """What run_program.py needs to know."""
    return {
        "program": str(project.program),
        "directory": str(project.directory),
        "arguments": list(request.args),
        "config": dict(request.config),
        "config_secret_keys": list(request.configSecretKeys),
        "settings": {
            "project": request.project,
            "stack": request.stack,
            "monitor": request.monitor_address,
            "engine": engine,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "organization": request.organization or "organization",
            "root_directory": str(project.root),
        },
    }


def install_steps(project: Project) -> list[list[str]]:
    """The commands that install the project's requirements."""
    steps = []
    if project.virtualenv is not None:
        python = project.virtualenv / "bin" / "python"
        if not python.exists():
            steps.append([sys.executable, "-m", "venv", str(project.virtualenv)])
    else:
        python = project.python()
    if (project.directory / "requirements.txt").is_file():
        steps.append([str(python), "-m", "pip", "install", "--disable-pip-version-check", "-r", "requirements.txt"])
    return steps


def main() -> int:
    """Serve it."""

    def register(server: grpc.aio.Server) -> Callable[[], None]:
        host = LanguageHost(engine_address())
        language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
        return host.stop

    return serve(register)
