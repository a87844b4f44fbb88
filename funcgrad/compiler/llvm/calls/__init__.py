"""The way from Python into compiled code and back: dispatch, callbacks, errors."""
