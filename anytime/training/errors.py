"""What can be wrong with what a bundle is to be made from, one named error a fault.

TrainingError            code
+-- BadOption            bad_option            an option that contradicts another, or names something that is not there
+-- BadClassifier        bad_classifier        an ONNX file that is no classifier, or not one that can be a stage
+-- ModelsDiffer         models_differ         classifiers that are fine alone and do not go together
+-- MacsUnknown          macs_unknown          multiply-adds that no counter can know and nobody gave
+-- ExtraMissing         extra_missing         a package of the extra ``train`` is not installed
+-- DataUnknown          data_unknown          no data set has this name
+-- DataMissing          data_missing          files of a data set that are not there and could not be fetched
+-- NetworkUncuttable    network_uncuttable    a network that one tensor passes nowhere
+-- NotACut              not_a_cut             a place, named by the caller, that more than one tensor passes
+-- UnsupportedOperator  unsupported_operator  an operator that ONNX Runtime cannot run
+-- DataMisfit           data_misfit           data of another name, dtype or shape than the network's input
+-- CacheFailed          cache_failed          features that cannot be written or read again: a full disk, a damaged file
+-- TracesUnfit          traces_unfit          traces that cannot say what is asked: without labels, or of no row
+-- ExportFailed         export_failed         a factory that makes no network, or one that torch cannot export
+-- BadRecipe            bad_recipe            a recipe that cannot be read, has an unknown key, or contradicts itself
+-- RunFailed            run_failed            a run folder of another recipe, a damaged checkpoint, a full disk, a NaN
+-- GraphsUnjoinable     graphs_unjoinable     graphs of a bundle that cannot be put into one ONNX model
+-- ParityBroken         parity_broken         an exported graph that does not compute what it was made from
+-- ReportUnwritten      report_unwritten      an evaluation that the disk did not take, such as a full one
+-- BadData              bad_data              files of a data set that are there and are not what they should be
    +-- BadPicture       bad_picture           a picture that is truncated, corrupt or of no known format
    +-- SizesDiffer      sizes_differ          pictures of several sizes where nothing says how to make them alike
    +-- EmptyClass       empty_class           a class without a picture
    +-- BadLabel         bad_label             a label that is not one of the classes
"""

from __future__ import annotations


class TrainingError(Exception):
    """The root: every error has a stable ``code`` and a message for people."""

    code = "training_error"


class BadOption(TrainingError):
    code = "bad_option"


class BadClassifier(TrainingError):
    code = "bad_classifier"


class ModelsDiffer(TrainingError):
    code = "models_differ"


class MacsUnknown(TrainingError):
    code = "macs_unknown"


class ExtraMissing(TrainingError):
    code = "extra_missing"


class DataUnknown(TrainingError):
    code = "data_unknown"


class DataMissing(TrainingError):
    code = "data_missing"


class BadRecipe(TrainingError):
    code = "bad_recipe"


class RunFailed(TrainingError):
    code = "run_failed"


class GraphsUnjoinable(TrainingError):
    code = "graphs_unjoinable"


class ParityBroken(TrainingError):
    code = "parity_broken"


class BadData(TrainingError):
    code = "bad_data"


class BadPicture(BadData):
    code = "bad_picture"


class SizesDiffer(BadData):
    code = "sizes_differ"


class EmptyClass(BadData):
    code = "empty_class"


class BadLabel(BadData):
    code = "bad_label"


class NetworkUncuttable(TrainingError):
    code = "network_uncuttable"


class NotACut(TrainingError):
    code = "not_a_cut"


class UnsupportedOperator(TrainingError):
    code = "unsupported_operator"


class DataMisfit(TrainingError):
    code = "data_misfit"


class CacheFailed(TrainingError):
    code = "cache_failed"


class ExportFailed(TrainingError):
    code = "export_failed"


class TracesUnfit(TrainingError):
    code = "traces_unfit"


class ReportUnwritten(TrainingError):
    code = "report_unwritten"
