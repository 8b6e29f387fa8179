"""An app that kills its whole process group at import."""

import os
import signal

os.killpg(os.getpgrp(), signal.SIGKILL)
