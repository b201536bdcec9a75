"""Work on several machines, by Ray: the extra ``emofuse[cluster]``."""
