"""The online side: bytes in, staged inference, a refining answer out. Never imports torch or the training side."""
