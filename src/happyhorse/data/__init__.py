"""MAKE 2: seeds and folders to manifests, shards and batches."""
