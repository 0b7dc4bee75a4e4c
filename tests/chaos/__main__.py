"""python -m tests.chaos --seed 1 --seconds 60: tell a story, prove it, and say so on one screen."""

import argparse
import sys

from tests.chaos.report import report
from tests.chaos.run import tell


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kill everything; lose nothing.")
    parser.add_argument("--seed", type=int, default=1, help="which story (1)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is (60)")
    parser.add_argument("--kills", type=int, default=0, help="fail where there were fewer (0)")
    parser.add_argument("--keep", action="store_true", help="keep its folder also where all is well")
    parser.add_argument("--points", action="store_true", help="points above all, until somebody was killed at each")
    words = parser.parse_args()
    story = tell(words.seed, words.seconds, words.keep, words.points)
    print(report(story, words.keep, words.kills))
    return 1 if story.violated or story.havoc.kills < words.kills else 0


sys.exit(main())
