"""Libraries of native code without what only debuggers read; in those that wheels bring it is up to a quarter."""

from __future__ import annotations

import struct

HEADER = 64  # bytes at the beginning of a file
OF_THIS_KIND = b"\x7fELF\x02\x01"  # 64 bits, least byte first, as both processors of Lambda have it


def without_symbols(library: bytes) -> bytes:
    """The same library with nothing in it but what is loaded; anything else than one of Lambda's stays as it is.

    Loading reads the header and what the program headers name; names of functions, line numbers and the table of
    sections lie beside that (System V ABI, chapters 4 and 5).
    """
    if not library.startswith(OF_THIS_KIND):
        return library
    (at,) = struct.unpack_from("<Q", library, 32)
    size, count = struct.unpack_from("<HH", library, 54)
    loaded = [(0, HEADER), (at, at + size * count)]
    for entry in range(at, at + size * count, size):
        begin, length = struct.unpack_from("<Q16xQ", library, entry + 8)
        loaded.append((begin, begin + length))
    kept = bytearray(max(end for _, end in loaded))
    for begin, end in loaded:
        kept[begin:end] = library[begin:end]
    struct.pack_into("<Q", kept, 40, 0)  # there is no table of sections,
    struct.pack_into("<HHH", kept, 58, 0, 0, 0)  # and nothing in it
    return bytes(kept)
