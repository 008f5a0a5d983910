"""What can be wrong with what a bundle is to be made from, one named error a fault.

TrainingError          code
+-- BadOption          bad_option       an option that contradicts another, or names something that is not there
+-- BadClassifier      bad_classifier   an ONNX file that is no classifier, or not one that can be a stage
+-- ModelsDiffer       models_differ    classifiers that are fine alone and do not go together
+-- MacsUnknown        macs_unknown     multiply-adds that no counter can know and nobody gave
+-- ExtraMissing       extra_missing    a package of the extra ``train`` is not installed
+-- NetworkUncuttable  network_uncuttable    a network that one tensor passes nowhere
+-- NotACut            not_a_cut             a place, named by the caller, that more than one tensor passes
+-- UnsupportedOperator unsupported_operator an operator that ONNX Runtime cannot run
+-- DataMisfit         data_misfit           data of another name, dtype or shape than the network's input
+-- CacheFailed        cache_failed          features that cannot be written or read again: a full disk, a damaged file
+-- ExportFailed       export_failed         a factory that makes no network, or one that torch cannot export
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
