"""Installs the npm and Python packages that the checks use, once each, below target/clients."""

import shutil
import sys

from common.errors import CannotRun
from common.paths import install_cache
from common.process import run_checked

NODE = "node@24.21.0"
INSTALL_SECONDS = 600


def install_once(folder, packages, install):
    """Calls `install` unless exactly these packages are in the folder. An interrupted installation is repeated."""
    marker = folder / "installed.txt"
    wanted = "\n".join(packages)
    if not marker.is_file() or marker.read_text() != wanted:
        print(f"installing {' '.join(packages)}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install()
        marker.write_text(wanted)
    return folder


def require_npm():
    if shutil.which("npm") is None:
        raise CannotRun("npm is not installed; install Node.js with npm")


def node_modules(name, packages):
    """The folder `node_modules` with these npm packages."""
    folder = install_cache() / name

    def install():
        require_npm()
        (folder / "package.json").write_text('{"private": true}\n')
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", *packages]
        run_checked("npm install", command, seconds=INSTALL_SECONDS, cwd=folder)

    return install_once(folder, packages, install) / "node_modules"


def python_with(package):
    """The Python of a virtual environment that has this package ("name==version")."""
    folder = install_cache() / package.replace("==", "-")
    python = folder / "bin" / "python"

    def install():
        run_checked("python3 -m venv", [sys.executable, "-m", "venv", folder], seconds=INSTALL_SECONDS)
        command = [python, "-m", "pip", "install", "--quiet", package]
        run_checked("pip install", command, seconds=INSTALL_SECONDS)

    install_once(folder, [package], install)
    return python
