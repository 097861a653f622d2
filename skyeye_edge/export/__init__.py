"""From a merged checkpoint to a bundle.

report = export_bundle("my-checkpoint", "my-bundle", vision=["int8"], language=["Q8_0"])
"""

from skyeye_edge.export.bundle import ExportedFile, ExportReport, export_bundle
from skyeye_edge.export.parity import ParityRow, measure_parity

__all__ = ["ExportReport", "ExportedFile", "ParityRow", "export_bundle", "measure_parity"]
