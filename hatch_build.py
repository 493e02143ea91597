"""Compiles the modules that a proxied request runs through, for wheels that are asked for so.

It needs a C compiler and Python's headers; `HATCH_BUILD_HOOKS_ENABLE=1 pip install .` asks. A compiled wheel behaves as
the sources do, at half their cost, and is for one version of Python on one platform. What is installed to be edited
stays source.
"""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledModules(BuildHookInterface[Any]):
    """Puts the modules that pyproject.toml names into the wheel a second time, as extension modules."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        if version == "editable":
            return
        folder = Path(tempfile.mkdtemp(prefix="bearergate-"))
        atexit.register(shutil.rmtree, folder)  # the wheel is put together after this, or not at all
        for made in compiled(self.config["modules"], folder):
            build_data["force_include"][str(made)] = made.relative_to(folder / "made").as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compiled(modules: list[str], folder: Path) -> list[Path]:
    """The extension modules of these files, in the folder `made` below the one that is given.

    Raises:
        RuntimeError: they cannot be compiled; what compilers say stands above it.
    """
    from mypyc.build import mypycify  # noqa: PLC0415 - what only who compiles has installed
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.errors import BaseError, CCompilerError  # noqa: PLC0415

    try:
        extensions = mypycify(
            [
                f"--cache-dir={folder / 'cache'}",
                f"--python-version={sys.version_info.major}.{sys.version_info.minor}",
                "--follow-imports=silent",
                *modules,
            ],
            opt_level="3",
            debug_level="0",
            group_name="bearergate",
            target_dir=str(folder / "c"),
        )
        build = Distribution({"name": "bearergate", "ext_modules": extensions}).get_command_obj("build_ext")
        build.build_lib, build.build_temp = str(folder / "made"), str(folder / "temp")
        build.ensure_finalized()
        build.run()
    except (BaseError, CCompilerError, SystemExit) as error:  # mypyc leaves, after it has said why
        raise RuntimeError(
            f"The gate's modules cannot be compiled ({error}): install a C compiler and Python's headers (Debian: "
            "build-essential python3-dev), or build without HATCH_BUILD_HOOKS_ENABLE"
        ) from None
    return sorted((folder / "made").rglob("*.so"))
