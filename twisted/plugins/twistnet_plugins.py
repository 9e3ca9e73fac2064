"""What twistnet adds to twistd, twist and its own discovery.

Imported whenever any program looks for Twisted plugins: everything heavier than a name is a string.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

from twistnet.endpoints.plugins import (
    DatagramEndpointPlugin,
    StreamClientEndpointPlugin,
    StreamServerEndpointPlugin,
)
from twistnet.services.plugins import ServicePlugin

node_command = ServiceMaker(
    "twistnet node",
    "twistnet.tap.node",
    "Echo, upper-case and datagram services, or a whole node.",
    "twistnet",
)
echo_command = ServiceMaker("twistnet echo", "twistnet.tap.echo", "Send back what comes.", "twistnet-echo")
upper_command = ServiceMaker(
    "twistnet upper", "twistnet.tap.upper", "Send back what comes in upper case.", "twistnet-upper"
)
datagram_command = ServiceMaker(
    "twistnet datagram", "twistnet.tap.datagram", "Answer datagrams.", "twistnet-datagram"
)
greeting_command = ServiceMaker(
    "twistnet greeting", "twistnet.tap.greeting", "Say something to whoever connects.", "twistnet-greeting"
)
classic_command = ServiceMaker(
    "twistnet classic", "twistnet.tap.classic", "Discard, chargen, daytime, time, qotd.", "twistnet-classic"
)

files_command = ServiceMaker(
    "twistnet files", "twistnet.tap.files", "Put and get files under one folder.", "twistnet-files"
)
messages_command = ServiceMaker(
    "twistnet messages", "twistnet.tap.messages", "Answer requests in JSON.", "twistnet-messages"
)
console_command = ServiceMaker(
    "twistnet console", "twistnet.tap.console", "A person at this terminal answers.", "twistnet-console"
)

echo_service = ServicePlugin("echo", "twistnet.services.builtin.answering.ECHO")
upper_service = ServicePlugin("upper", "twistnet.services.builtin.answering.UPPER")
datagram_service = ServicePlugin("datagram", "twistnet.services.builtin.answering.DATAGRAM")
greeting_service = ServicePlugin("greeting", "twistnet.services.builtin.greeting.GREETING")
classic_service = ServicePlugin("classic", "twistnet.services.builtin.classic.CLASSIC")
console_service = ServicePlugin("console", "twistnet.services.builtin.console.CONSOLE")
messages_service = ServicePlugin("messages", "twistnet.services.builtin.messages.MESSAGES")

files_service = ServicePlugin("files", "twistnet.services.builtin.files.FILES")

udp_endpoint = DatagramEndpointPlugin("udp", "twistnet.endpoints.datagram.parse_udp")
udp6_endpoint = DatagramEndpointPlugin("udp6", "twistnet.endpoints.datagram.parse_udp6")
unix_datagram_endpoint = DatagramEndpointPlugin(
    "unix-datagram", "twistnet.endpoints.datagram.parse_unix_datagram"
)
systemd_datagram_endpoint = DatagramEndpointPlugin(
    "systemd-datagram", "twistnet.endpoints.datagram.parse_systemd_datagram"
)

proxied_endpoint = StreamClientEndpointPlugin("proxied", "twistnet.endpoints.proxied_strings.parse_proxied")
mtls_server_endpoint = StreamServerEndpointPlugin("mtls", "twistnet.endpoints.mtls.parse_mtls_server")
mtls_client_endpoint = StreamClientEndpointPlugin("mtls", "twistnet.endpoints.mtls.parse_mtls_client")
guarded_endpoint = StreamServerEndpointPlugin("guarded", "twistnet.endpoints.guarded.parse_guarded")

fast_server_endpoint = StreamServerEndpointPlugin("fast", "twistnet.endpoints.fast.parse_fast_server")
fast_client_endpoint = StreamClientEndpointPlugin("fast", "twistnet.endpoints.fast.parse_fast_client")
fast_datagram_endpoint = DatagramEndpointPlugin("fast", "twistnet.endpoints.fast.parse_fast_datagram")
fast_reactor = Reactor(
    "twistnet",
    "twistnet.transport.reactor",
    "epoll(7), with TCP, UDP and UNIX sockets on twistnet's fast transports.",
)
