"""The table of layers.  A new layer adds a line to the CASES of its family; every law of laws.py is tested for it."""

import cases_containers
import cases_core

CASES = [*cases_core.CASES, *cases_containers.CASES]
