"""The public names, each from the module that defines it. What is not here is private.

`X as X` is how a name is marked public for type checkers; `skyeye_edge` hands them on.
"""

from skyeye_edge.core.results import plot as plot
from skyeye_edge.core.boxes import Box as Box
from skyeye_edge.core.bundle import (
    Bundle as Bundle,
    open_bundle as open_bundle,
)
from skyeye_edge.core.coco import to_coco as to_coco
from skyeye_edge.core.errors import (
    BackendError as BackendError,
    BundleError as BundleError,
    BusyError as BusyError,
    CheckpointError as CheckpointError,
    ClosedError as ClosedError,
    DataError as DataError,
    InputError as InputError,
    LateError as LateError,
    MediaError as MediaError,
    MissingExtraError as MissingExtraError,
    OutputError as OutputError,
    ParityError as ParityError,
    SkyEyeError as SkyEyeError,
)
from skyeye_edge.core.events import (
    AlertEvent as AlertEvent,
    AnswerEvent as AnswerEvent,
    ControlEvent as ControlEvent,
    Event as Event,
    StateEvent as StateEvent,
    SummaryEvent as SummaryEvent,
    parse_event as parse_event,
)
from skyeye_edge.core.frame import (
    DataPacket as DataPacket,
    Frame as Frame,
)
from skyeye_edge.core.results import (
    ClassifyResult as ClassifyResult,
    DetectResult as DetectResult,
    GroundResult as GroundResult,
    TaskResult as TaskResult,
    TextResult as TextResult,
)
from skyeye_edge.core.tasks import (
    Ask as Ask,
    Caption as Caption,
    Classify as Classify,
    Describe as Describe,
    Detect as Detect,
    Ground as Ground,
    Identify as Identify,
    Task as Task,
)
from skyeye_edge.runtime import (
    Alert as Alert,
    Answer as Answer,
    Model as Model,
    Push as Push,
    Question as Question,
    load as load,
    to_detections as to_detections,
)
