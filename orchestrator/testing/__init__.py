"""Contract suites for plugin authors: one check function a contract, raising AssertionError."""
