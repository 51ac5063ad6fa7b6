"""The proxy of fastmcp in front of a server on stdin and stdout: fastmcp_proxy.py PORT PROGRAM [ARGUMENT ...]."""

import sys

from fastmcp.client.transports import StdioTransport
from fastmcp.server import create_proxy

port, program, *arguments = sys.argv[1:]
proxy = create_proxy(StdioTransport(command=program, args=arguments), name="proxy")
proxy.run(transport="http", host="127.0.0.1", port=int(port), show_banner=False)
