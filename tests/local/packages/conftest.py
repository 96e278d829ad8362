"""A small project with a space in its path, and a package index in a folder: no test needs a network."""

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]

HANDLER = "import pgevents.greeting\n\n\ndef handle(event, context):\n    return pgevents.greeting.WORD\n"


class Index:
    """Wheels in a folder, which pip is told to use instead of an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, version: str = "1.0", tag: str = "py3-none-any", text: str = "") -> str:
        """Make a wheel with one module. Its entry in a lock."""
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": text or f"VERSION, TAG = {version!r}, {tag!r}\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        }
        record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
        wheel = self.folder / f"{name}-{version}-{tag}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
                archive.writestr(path, content)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        return f"{name}=={version} \\\n    --hash=sha256:{digest}\n    # via -r requirements.txt\n"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    index = Index(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", index.folder.as_uri())  # pip splits a path at its spaces
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return index


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "the cache"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose transform greets, and whose lock is empty."""
    project = tmp_path / "a project"
    files = {
        "pipeline.toml": "[sources]\n",
        "lambdas/core/pgevents/__init__.py": "",
        "lambdas/core/pgevents/greeting.py": "WORD = 'hello'\n",
        "lambdas/transform/__init__.py": "",
        "lambdas/transform/handler.py": HANDLER,
        "lambdas/transform/transforms/__init__.py": "",
        "lambdas/transform/transforms/accounts.py": "from pgevents.greeting import WORD\n",
        "lambdas/transform/requirements.txt": "",
        "lambdas/transform/requirements.lock": "",
    }
    for path, text in files.items():
        write(project / path, text)
    return project


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
