"""The private names of other libraries, a file for each library.

Any release may remove such a name. So each file says in which version its names were read, `setup.py` pins the library
to that version, and tests look every name up. The rest of the code uses none of them directly.
"""
