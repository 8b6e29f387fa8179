"""An app whose import fails."""

import importlib

application = importlib.import_module("a_module_that_nobody_installed")
