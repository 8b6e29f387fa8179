"""Runs in an app that was forked from a base, before all else of the app is imported, by uWSGI's
option `shared-import`. It imports only what Python has loaded already: any other module would be
looked for in the folders of the app. emperord does not import this file.
"""

import os
import sys

sys.path_importer_cache[os.path.dirname(os.__file__)].store.forked()  # type: ignore[union-attr]
