"""Reads hostile files in a process that may die of them: a line of JSON in, [target, folder, content in hex], a line of JSON out.

What comes out is whether the file was read or refused, what was said, and the most memory so far in MB.
"""

import json
import resource
import sys
import traceback
from pathlib import Path

from targets import TARGETS


def main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (4 * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        name, folder, content = json.loads(line)
        target = TARGETS[name]
        path = Path(folder, target.file)
        try:
            target.put(path, bytes.fromhex(content))
            target.read(path)
            outcome = ["read", ""]
        except (ValueError, OSError) as error:
            outcome = ["refused", str(error)]
        except BaseException:
            outcome = ["broken", traceback.format_exc()]
        most_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([*outcome, most_mb]), file=answers, flush=True)


if __name__ == "__main__":
    main()
