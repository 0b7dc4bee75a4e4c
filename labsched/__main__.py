"""``python -m labsched``: the command line, where the script `labsched` is not on the PATH."""

from labsched.cli.main import script

if __name__ == "__main__":
    script()
