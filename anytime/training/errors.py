"""What can be wrong with what a bundle is to be made from, one named error a fault.

TrainingError          code
+-- BadOption          bad_option       an option that contradicts another, or names something that is not there
+-- BadClassifier      bad_classifier   an ONNX file that is no classifier, or not one that can be a stage
+-- ModelsDiffer       models_differ    classifiers that are fine alone and do not go together
+-- MacsUnknown        macs_unknown     multiply-adds that no counter can know and nobody gave
+-- ExtraMissing       extra_missing    a package of the extra ``train`` is not installed
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
