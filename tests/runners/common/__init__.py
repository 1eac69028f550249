"""Code that the runners below tests/ share: processes, installations, the server under test, reports."""
