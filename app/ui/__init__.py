"""What the pages share: the selection, the frame of a page, background jobs, caches, words and numbers."""
