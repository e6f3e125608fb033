"""``python -m kinema``."""

from __future__ import annotations

import sys

from kinema.cli import main

sys.exit(main())
