"""Programs that measure funcgrad beside the libraries that a user would pick instead."""
