"""A project in miniature: the real launcher, two commands, and locks of tiny wheels that lie in a folder."""

import base64
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUN_COMMAND = """SUMMARY = "say which version of tinyrun is installed"
def arguments(parser): parser.add_argument("--code", type=int, default=0)
def run(args):
    import tinyrun
    print("tinyrun", tinyrun.VERSION)
    return args.code
"""
DEV_COMMAND = """SUMMARY = "say which version of tinydev is installed"
REQUIREMENTS = "dev"
def arguments(parser): pass
def run(args):
    import tinydev, tinyrun
    print("tinydev", tinydev.VERSION)
    return 0
"""


@dataclass(frozen=True)
class Project:
    """A folder with the launcher in it, and the folder that plays the package index."""

    root: Path
    index: Path
    environment: dict[str, str] = field(default_factory=dict)

    def lock(self, name: str, package: str, version: str) -> None:
        """Put `package` in the index and make it the only entry of the lock `name`."""
        wheel = make_wheel(self.index, package, version)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        (self.root / name).write_text(f"{package}=={version} \\\n    --hash=sha256:{digest}\n")

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """`./pgevents ARGUMENTS` with this test's Python, in a bare environment."""
        return subprocess.Popen(
            [sys.executable, str(self.root / "pgevents"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment | environment,
        )

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program = self.start(*arguments, **environment)
        output, errors = program.communicate(timeout=120)
        return subprocess.CompletedProcess(program.args, program.returncode, output, errors)


def make_wheel(folder: Path, package: str, version: str) -> Path:
    """A wheel with one module that knows its version."""
    about = f"{package}-{version}.dist-info"
    files = {
        f"{package}.py": f"VERSION = {version!r}\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={urlsafe_hash(text)},{len(text)}\n" for name, text in files.items())
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in (files | {f"{about}/RECORD": f"{record}{about}/RECORD,,\n"}).items():
            wheel.writestr(name, text)
    return path


def urlsafe_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def make_project(folder: Path) -> Project:
    root, index = folder / "a project", folder / "index"
    index.mkdir()
    commands = root / "ops" / "commands"
    shutil.copytree(ROOT / "ops" / "venv", root / "ops" / "venv")
    commands.mkdir()
    for name in ("pgevents", "pyproject.toml", "ops/__init__.py", "ops/cli.py", "ops/commands/__init__.py"):
        shutil.copy(ROOT / name, root / name)
    (commands / "tiny_run.py").write_text(RUN_COMMAND)
    (commands / "tiny_dev.py").write_text(DEV_COMMAND)
    core = root / "lambdas" / "core" / "pgevents"
    core.mkdir(parents=True)
    (core / "__init__.py").touch()
    shutil.copy(ROOT / "lambdas" / "core" / "pgevents" / "errors.py", core)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": os.devnull}
    home = {"HOME": str(folder), "PYTHONUSERBASE": str(folder / "user")}
    project = Project(root, index, {"PATH": os.environ["PATH"], **home, **offline})
    project.lock("requirements.lock", "tinyrun", "1.0")
    project.lock("requirements-dev.lock", "tinydev", "1.0")
    return project


def hide_modules(project: Project, *modules: str) -> None:
    """Make the modules unimportable for the base interpreter, as distributions do that package them apart.

    Its own pip, or this test's when it has none, stays importable unless it is named.
    """
    folder = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    user_site = Path(project.environment["PYTHONUSERBASE"], folder)
    user_site.mkdir(parents=True, exist_ok=True)
    lines = ["import sys", *(f"sys.modules[{module!r}] = None" for module in modules)]
    if (pip := importlib.util.find_spec("pip")) and pip.origin:
        lines.append(f"sys.path.append({str(Path(pip.origin).parents[1])!r})")
    (user_site / "usercustomize.py").write_text("\n".join(lines))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose .venv was not made yet. Without ensurepip, which saves seconds a test."""
    project = make_project(tmp_path)
    hide_modules(project, "ensurepip")
    return project


@pytest.fixture(scope="module")
def ready_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after its first command: what runs is installed, the tools are not."""
    project = make_project(tmp_path_factory.mktemp("ready"))
    first = project.call("tiny-run")
    assert first.returncode == 0, first.stderr
    return project
