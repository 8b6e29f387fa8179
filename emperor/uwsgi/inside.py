"""uWSGI runs this file in the Python of each app before the app is imported, by its option
`import`.

uWSGI compiles it at each start, so it is short. What it runs is before_app.py, which Python
compiles once, as it does a module.
"""

import sys
from _frozen_importlib_external import SourceFileLoader

path = __file__.replace("inside.py", "before_app.py")
SourceFileLoader(__name__, path).exec_module(sys.modules[__name__])
