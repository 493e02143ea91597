"""uvicorn's Config and Server without its command line, reloader and worker processes: 2 MiB and 15 ms less.

`import uvicorn` would load all of them. So the package is put in place before its own code has run; that runs as soon
as anybody asks for something it defines, and whoever else uses uvicorn in this process cannot tell the difference.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec


def defer(name: str) -> None:
    """Put a package in place whose own code runs when somebody asks for what it defines, not for a module of it."""
    spec = find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    loader, package = spec.loader, module_from_spec(spec)

    def defined(attribute: str) -> object:
        del vars(package)["__getattr__"]
        loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = defined  # PEP 562
    sys.modules[name] = package


defer("uvicorn")

from uvicorn.config import Config  # noqa: E402 - see above
from uvicorn.server import Server  # noqa: E402

__all__ = ["Config", "Server"]

vars(sys.modules["uvicorn"]).update(Config=Config, Server=Server)  # uvicorn.lifespan takes them from there
