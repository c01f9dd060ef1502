"""Records what a server or the proxy was asked and answered, in inference tables, beside the requests' path."""
