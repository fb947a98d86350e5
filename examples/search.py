#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""libpqkern from Python by ctypes, without a build step:

    search.py COLLECTION VECTORS.fvecs [K]

The nearest K vectors of a collection's file to each vector of a TEXMEX file."""

import array
import ctypes
import os
import struct
import sys

NO_ID = 2**64 - 1


class Result(ctypes.Structure):
    _fields_ = [("id", ctypes.c_uint64), ("distance", ctypes.c_float),
                ("reserved", ctypes.c_uint32)]


def load():
    """Names what is called, so that no argument is passed as the wrong type."""
    library = ctypes.CDLL(os.environ.get("LIBPQKERN", "libpqkern.so.0"))
    handle, status = ctypes.c_void_p, ctypes.c_int
    library.pqk_status_string.argtypes = [status]
    library.pqk_status_string.restype = ctypes.c_char_p
    library.pqk_collection_open.argtypes = [
        ctypes.c_char_p, handle, ctypes.c_uint, ctypes.POINTER(handle)]
    library.pqk_collection_free.argtypes = [handle]
    library.pqk_collection_free.restype = None
    library.pqk_collection_quantizer.argtypes = [handle]
    library.pqk_collection_quantizer.restype = handle
    library.pqk_quantizer_dim.argtypes = [handle]
    library.pqk_quantizer_dim.restype = ctypes.c_size_t
    library.pqk_collection_search.argtypes = [
        handle, ctypes.POINTER(ctypes.c_float), ctypes.c_size_t,
        ctypes.c_size_t, ctypes.c_void_p, ctypes.POINTER(Result),
        ctypes.POINTER(ctypes.c_size_t)]
    return library


def check(library, status, what):
    if status != 0:
        sys.exit(f"search.py: {what}:"
                 f" {library.pqk_status_string(status).decode()}")


def read_fvecs(path, dim):
    with open(path, "rb") as file:
        data = file.read()
    width = struct.unpack_from("<i", data)[0] if len(data) >= 4 else 0
    if width != dim or len(data) % (4 + 4 * dim):
        sys.exit(f"search.py: {path}: rows are not {dim} wide")
    values = array.array("f", data)
    if sys.byteorder == "big":
        values.byteswap()
    rows = len(values) // (dim + 1)
    return rows, [value for row in range(rows)
                  for value in values[row * (dim + 1) + 1:(row + 1) * (dim + 1)]]


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    k = int(sys.argv[3]) if len(sys.argv) == 4 else 10
    library = load()
    collection = ctypes.c_void_p()
    check(library,
          library.pqk_collection_open(os.fsencode(sys.argv[1]), None, 0,
                                      ctypes.byref(collection)), sys.argv[1])
    dim = library.pqk_quantizer_dim(
        library.pqk_collection_quantizer(collection))
    rows, values = read_fvecs(sys.argv[2], dim)
    queries = (ctypes.c_float * len(values))(*values)
    results = (Result * (rows * k))()
    check(library,
          library.pqk_collection_search(collection, queries, rows, k, None,
                                        results, None), "search")
    for i, result in enumerate(results):
        if result.id != NO_ID:
            print(i // k, result.id, f"{result.distance:.9g}")
    library.pqk_collection_free(collection)


if __name__ == "__main__":
    main()
