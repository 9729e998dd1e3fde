"""`python -m patter_nb` is `patter-nb`, for where the script is not on the path."""

import sys

from patter_nb.cli import main

sys.exit(main())
