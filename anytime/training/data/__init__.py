"""Pictures to train on, without torch: official data sets and the user's own, cut, augmented, normalised, in batches."""
