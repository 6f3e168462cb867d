"""`python -m agent_runner`."""

import gc
import sys

gc.disable()  # Until there is a core: what is loaded before it stays.

from agent_runner.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
