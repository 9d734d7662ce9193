#!/usr/bin/env python3
"""Prints the URLs of test pages of a checkout of the web platform tests.

    pages.py CHECKOUT STATE PATH...

STATE is the file that serve.py writes. A PATH is a page, a file that has pages (`/beacon/a.any.js`), or a folder. A `*`
in the path of a file or folder stands for any characters.
The manifest of the checkout knows which pages a file has. Only tests of testharness.js are listed, and none in a global
scope that the shell does not have.
"""

import glob
import json
import os
import re
import sys

# Wrapper pages for service workers.
MISSING_SCOPE = re.compile(r"\.any\.serviceworker(-module)?\.html")


def main():
    checkout, state, *paths = sys.argv[1:]
    checkout = os.path.abspath(checkout)
    with open(state, encoding="utf-8") as file:
        origins = json.load(file)
    # NB: the module finds the checkout's own libraries, so that nothing has to be installed.
    sys.path.insert(0, os.path.join(checkout, "tools"))
    import localpaths  # noqa: F401
    from manifest.sourcefile import SourceFile

    for path in paths:
        found = [page for one in expand(checkout, path.strip("/")) for page in find(checkout, one, SourceFile)]
        if not found:
            sys.exit(f"pages.py: {path} is no test of {checkout}")
        for page in found:
            scheme = "h2" if page.h2 else "https" if page.https else "http"
            print(origins[scheme] + page.url)


def expand(checkout, path):
    """Returns the paths that a path with `*` stands for."""
    if "*" not in path:
        return [path]
    return sorted(os.path.relpath(file, checkout) for file in glob.glob(os.path.join(checkout, path)))


def find(checkout, path, source_file):
    """Yields the pages of the file or folder, or the one page with this path."""
    if os.path.isdir(os.path.join(checkout, path)):
        for folder, folders, files in os.walk(os.path.join(checkout, path)):
            folders.sort()
            for name in sorted(files):
                yield from pages_of(os.path.relpath(os.path.join(folder, name), checkout), checkout, source_file)
        return
    folder, name = os.path.split(path)
    stem = name.split(".")[0]
    siblings = os.listdir(os.path.join(checkout, folder)) if os.path.isdir(os.path.join(checkout, folder)) else []
    for sibling in sorted(file for file in siblings if file.split(".")[0] == stem):
        for page in pages_of(os.path.join(folder, sibling), checkout, source_file):
            if path in (os.path.join(folder, sibling), page.url.lstrip("/"), page.url.lstrip("/").split("?")[0]):
                yield page


def pages_of(path, checkout, source_file):
    kind, pages = source_file(checkout, path, "/").manifest_items()
    return [page for page in pages if not MISSING_SCOPE.search(page.url)] if kind == "testharness" else []


if __name__ == "__main__":
    main()
