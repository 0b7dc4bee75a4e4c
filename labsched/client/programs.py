"""Whether a command could be run at all, before it is queued."""

import os


def missing(program: str, folder: str, path: str) -> str | None:
    """Why `program` cannot be run from `folder`, in words; None where it can."""
    if not os.path.isdir(folder):
        return f"there is no folder {folder} to run it in"
    if "/" in program:
        file = os.path.join(folder, program)
        if not os.path.exists(file):
            return f"there is no program {file}: check its name (or give --no-check)"
        if not _runs(file):
            return f"{file} is not a program that you may run: chmod +x it, or name the program that reads it"
        return None
    # shutil.which would do; it loads all that packs and unpacks archives.
    if not any(_runs(os.path.join(place, program)) for place in path.split(os.pathsep)):
        return f"there is no command {program!r} on your PATH: check its name (or give --no-check)"
    return None


def _runs(file: str) -> bool:
    return os.path.isfile(file) and os.access(file, os.X_OK)
