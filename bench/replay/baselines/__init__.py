"""The policies of the field, one small file each."""
