"""Where the shares of the traffic are written: the proxy, KServe, or the Gateway API."""
