"""What can be wrong with a bundle or a store, one named error a fault.

StoreError                     code
+-- UnknownModel               unknown_model
+-- UnknownVersion             unknown_version
+-- VersionExists              version_exists
+-- BadAlias                   bad_alias
+-- BadName                    bad_name
+-- Uncountable                uncountable           an ONNX graph whose multiply-adds cannot be counted
+-- BundleError                bad_bundle
    +-- ManifestUnreadable     manifest_unreadable   not JSON, or no manifest at all
    +-- UnknownFormat          unknown_format        a format number other than 1
    +-- ReservedTask           reserved_task         a task that format 1 names but does not define
    +-- UnknownField           unknown_field
    +-- WrongType              wrong_type            a field of the wrong type or out of its range
    +-- Contradiction          contradiction         fields that are fine alone and wrong together
    +-- PathOutside            path_outside          a path that leaves the bundle
    +-- MissingFile            missing_file          listed and not there, or there and not listed
    +-- WrongHash              wrong_hash
    +-- TooLarge               too_large             a file, tensor or count beyond its bound
    +-- GraphUnreadable        graph_unreadable      not an ONNX model
    +-- GraphMismatch          graph_mismatch        ONNX inputs or outputs that the manifest does not describe
    +-- StateUnwritten         state_unwritten       read before it is written, without a start
    +-- ExternalDataOutside    external_data_outside ONNX external data outside the bundle or not listed
"""

from __future__ import annotations


class StoreError(Exception):
    """The root: every error of this package has a stable ``code`` and a message for people."""

    code = "store_error"


class UnknownModel(StoreError):
    code = "unknown_model"


class UnknownVersion(StoreError):
    code = "unknown_version"


class VersionExists(StoreError):
    code = "version_exists"


class BadAlias(StoreError):
    code = "bad_alias"


class BadName(StoreError):
    code = "bad_name"


class Uncountable(StoreError):
    code = "uncountable"


class BundleError(StoreError):
    """A bundle that must not be served; the subclasses say why."""

    code = "bad_bundle"


class ManifestUnreadable(BundleError):
    code = "manifest_unreadable"


class UnknownFormat(BundleError):
    code = "unknown_format"


class ReservedTask(BundleError):
    code = "reserved_task"


class UnknownField(BundleError):
    code = "unknown_field"


class WrongType(BundleError):
    code = "wrong_type"


class Contradiction(BundleError):
    code = "contradiction"


class PathOutside(BundleError):
    code = "path_outside"


class MissingFile(BundleError):
    code = "missing_file"


class WrongHash(BundleError):
    code = "wrong_hash"


class TooLarge(BundleError):
    code = "too_large"


class GraphUnreadable(BundleError):
    code = "graph_unreadable"


class GraphMismatch(BundleError):
    code = "graph_mismatch"


class StateUnwritten(BundleError):
    code = "state_unwritten"


class ExternalDataOutside(BundleError):
    code = "external_data_outside"
