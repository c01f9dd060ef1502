"""The private names of other libraries, one file per library.

Any release may remove a private name. So each file gives the version that its names were checked against, `setup.py`
pins the library to that version, and tests look up every name. The rest of the code uses no private names.
"""
