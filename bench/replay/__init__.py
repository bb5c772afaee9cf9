"""Decision quality, measured: traffic replayed through tailwise, the policies of the field and an oracle."""
