"""Making bundles, offline: from trained networks to stages in a store. Never imported by the service."""
