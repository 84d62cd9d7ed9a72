"""An emulated AWS on this machine, driven by the real Terraform.

Only the command line and the tests import this package. It needs the extra ``sandbox``.
"""
