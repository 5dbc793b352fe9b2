"""From folders of face videos to an ensemble of deepfake detectors, with a record of what made every file."""

import os
import sys
from types import ModuleType
from typing import cast

# Nothing phones home. This runs before any library that would; what the user has set by hand is left as it is.
for _switch, _value in {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}.items():
    os.environ.setdefault(_switch, _value)
# OpenVINO tells of every import and conversion, and reads no variable, only a file in the home folder. It does without
# where this package is not there, and None makes it so.
sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
